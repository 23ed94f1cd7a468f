# SPDX-License-Identifier: Apache-2.0
"""Qinling's controllers create their clients at import, so they are patched right before the API is set up."""

from typing import Any

from qinling.api import app

NAME = "setup of the API"
REASON = "the controllers' patches need a parsed configuration"

_original_setup_app = app.setup_app


def setup_app(config: Any = None) -> Any:
    """Patch the controllers, then return Qinling's application; replaces ``qinling.api.app.setup_app``."""
    from qinling_kolla import patches

    patches.apply_stage(patches.CONTROLLERS)
    patches.report()
    return _original_setup_app(config)


def needed() -> bool:
    """Return whether Qinling's own function is in use."""
    return app.setup_app is _original_setup_app


def apply() -> None:
    """Replace Qinling's function."""
    app.setup_app = setup_app
