# SPDX-License-Identifier: Apache-2.0
"""Qinling's controllers make their clients when they are imported: they are mended right before the API is set up."""

from typing import Any

from qinling.api import app

NAME = "set-up of the API"
REASON = "the controllers' mends need a parsed configuration"

_original_setup_app = app.setup_app


def setup_app(config: Any = None) -> Any:
    """Mend the controllers, then return Qinling's application; replaces ``qinling.api.app.setup_app``."""
    from qinling_kolla import mends

    mends.apply_stage(mends.CONTROLLERS)
    mends.report()
    return _original_setup_app(config)


def needed() -> bool:
    """Tell whether Qinling's own function is in place."""
    return app.setup_app is _original_setup_app


def apply() -> None:
    """Replace it."""
    app.setup_app = setup_app
