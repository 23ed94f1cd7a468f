# SPDX-License-Identifier: Apache-2.0
"""Mends: what is broken in Qinling 5.0.0 on current libraries, or unsafe in itself, and what serves instead.

A mend is a module with ``NAME``, ``REASON``, ``needed()`` (looks at the real thing) and ``apply()`` (changes it in
place). Call ``apply_all`` first of all, before the configuration is parsed, and ``report`` once logging is set up. The
API's controllers create their clients when they are imported, so they can be mended only with a parsed configuration:
``apply_all`` sees to it that ``qinling.api.app.setup_app`` does so, through ``apply_stage(CONTROLLERS)``.
"""

import dataclasses
import importlib
import logging
import threading
from collections.abc import Iterable
from typing import Protocol, cast

from qinling_kolla import config

LOG = logging.getLogger(__name__)


class Mend(Protocol):
    """What each module in ``START`` and ``CONTROLLERS`` offers."""

    NAME: str
    REASON: str

    def needed(self) -> bool: ...

    def apply(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one mend."""

    name: str
    applied: bool
    reason: str


# In order of application. Each is a module of this package.
START: tuple[str, ...] = (
    "tenacity_call",
    "context_names",
    "context_ctx",
    "token_echo",
    "log_secrets",
    "api_errors",
    "nested_json",
    "model_names",
    "database_facade",
    "statement_cache",
    "function_version_default",
    "alias_project",
    "finished_jobs",
    "etcd_client",
    "keystone_clients",
    "rpc_reply",
    "storage_exact",
    "storage_partial",
    "periodics_stop",
    "job_handler",
    "stuck_executions",
    "execution_rpc",
    "execution_records",
    "orchestrator_choice",
    "worker_requests",
    "engine_runtimes",
    "engine_executions",
    "api_controllers",
)
# These need a parsed configuration.
CONTROLLERS: tuple[str, ...] = (
    "collections_iterable",
    "version_project",
    "alias_controllers",
    "runtime_update",
    "function_input",
)

_lock = threading.RLock()
_outcomes: dict[str, Outcome] = {}
_unreported: list[Outcome] = []


def load(module: str) -> Mend:
    """Return the mend of the given module name."""
    return cast(Mend, importlib.import_module(f"{__name__}.{module}"))


def apply_stage(modules: Iterable[str]) -> list[Outcome]:
    """Apply the named mends that were not looked at before, in order; return their outcomes."""
    outcomes = []
    with _lock:
        for module in modules:
            if module in _outcomes:
                continue
            mend = load(module)
            wanted = mend.needed()
            if wanted:
                mend.apply()
            outcome = Outcome(mend.NAME, wanted, mend.REASON)
            _outcomes[module] = outcome
            _unreported.append(outcome)
            outcomes.append(outcome)
    return outcomes


def apply_all() -> list[Outcome]:
    """Register this package's options and apply the mends; return what became of each. Again: does nothing."""
    config.register()
    return apply_stage(START)


def report() -> None:
    """Log one line for each mend that was not logged yet; call it once logging is set up."""
    with _lock:
        while _unreported:
            outcome = _unreported.pop(0)
            if outcome.applied:
                LOG.info("Mended %s: %s", outcome.name, outcome.reason)
            else:
                LOG.info("Not needed here: mend of %s", outcome.name)
