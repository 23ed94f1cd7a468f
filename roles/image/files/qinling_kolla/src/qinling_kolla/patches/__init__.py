# SPDX-License-Identifier: Apache-2.0
"""Patches of Qinling 5.0.0, applied in memory when a command starts.

- ``compat``: current versions of Python and the libraries need them.
- ``security``: Qinling itself is unsafe without them.
- ``engine``: correctness, speed and features.

A patch is a module with ``NAME``, ``REASON``, ``needed()``, which inspects the patched code, and ``apply()``, which
replaces it. Call ``apply_all`` before the configuration is parsed, and ``report`` once logging is set up. The API's
controllers create their clients at import, which needs a parsed configuration: ``engine.api_controllers`` makes
``qinling.api.app.setup_app`` apply ``CONTROLLERS``.
"""

import dataclasses
import importlib
import logging
import threading
from collections.abc import Iterable
from typing import Protocol, cast

from qinling_kolla import config

LOG = logging.getLogger(__name__)


class Patch(Protocol):
    """The interface of each module in ``START`` and ``CONTROLLERS``."""

    NAME: str
    REASON: str

    def needed(self) -> bool:
        """Return whether the installed code lacks what the patch provides."""

    def apply(self) -> None:
        """Change the installed code in memory."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of one patch."""

    name: str
    applied: bool
    reason: str


# In order of application; each is the name of a module below this package.
START: tuple[str, ...] = (
    "compat.tenacity_call",
    "compat.context_names",
    "engine.context_ctx",
    "security.token_echo",
    "security.log_secrets",
    "security.api_errors",
    "engine.nested_json",
    "security.model_names",
    "compat.database_facade",
    "engine.statement_cache",
    "engine.function_version_default",
    "security.alias_project",
    "engine.finished_jobs",
    "security.etcd_client",
    "security.keystone_clients",
    "engine.rpc_reply",
    "engine.storage_exact",
    "engine.storage_partial",
    "engine.periodics_stop",
    "engine.job_handler",
    "engine.stuck_executions",
    "engine.execution_rpc",
    "engine.execution_records",
    "compat.orchestrator_choice",
    "security.worker_requests",
    "engine.engine_runtimes",
    "engine.engine_executions",
    "engine.api_controllers",
)
# Applied once the configuration is parsed.
CONTROLLERS: tuple[str, ...] = (
    "compat.collections_iterable",
    "engine.version_project",
    "security.alias_controllers",
    "engine.runtime_update",
    "engine.function_input",
)

_lock = threading.RLock()
_outcomes: dict[str, Outcome] = {}
_unreported: list[Outcome] = []


def load(module: str) -> Patch:
    """Return the patch with the given module name."""
    return cast(Patch, importlib.import_module(f"{__name__}.{module}"))


def apply_stage(modules: Iterable[str]) -> list[Outcome]:
    """Apply the given patches in order, skipping those already processed; return their outcomes."""
    outcomes = []
    with _lock:
        for module in modules:
            if module in _outcomes:
                continue
            patch = load(module)
            needed = patch.needed()
            if needed:
                patch.apply()
            outcome = Outcome(patch.NAME, needed, patch.REASON)
            _outcomes[module] = outcome
            _unreported.append(outcome)
            outcomes.append(outcome)
    return outcomes


def apply_all() -> list[Outcome]:
    """Register this package's options and apply the patches of ``START``; return the outcomes of the new ones."""
    config.register()
    return apply_stage(START)


def report() -> None:
    """Log one line for each patch that is not logged yet; call it once logging is set up."""
    with _lock:
        while _unreported:
            outcome = _unreported.pop(0)
            if outcome.applied:
                LOG.info("Patched %s: %s", outcome.name, outcome.reason)
            else:
                LOG.info("Patch not needed: %s", outcome.name)
