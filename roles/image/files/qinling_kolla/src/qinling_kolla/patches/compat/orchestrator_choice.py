# SPDX-License-Identifier: Apache-2.0
"""Qinling's own driver ``kubernetes`` uses an API removed in Kubernetes 1.16; this package replaces the driver.

stevedore refuses two entry points with the same name, so the one outside Qinling's own package is selected here.
"""

from importlib import metadata
from typing import Any

from oslo_config import cfg
from qinling import exceptions as exc
from qinling.orchestrator import base

NAME = "selection of the orchestrator"
REASON = "two drivers may share a name, and Qinling's own uses a removed API"

GROUP = "qinling.orchestrator"


def choose(name: str, candidates: list[metadata.EntryPoint]) -> metadata.EntryPoint:
    """Return the entry point to use among ``candidates``, which all have the configured name."""
    if not candidates:
        raise exc.OrchestratorException(
            f"[engine] orchestrator = {name}: no installed package provides this driver (entry points {GROUP})"
        )
    foreign = [point for point in candidates if not point.dist or point.dist.name.lower() != "qinling"]
    # An editable installation can list its entry points twice.
    if len({point.value for point in foreign}) > 1:
        raise exc.OrchestratorException(
            f"[engine] orchestrator = {name}: several packages provide it: "
            + ", ".join(sorted(point.value for point in foreign))
        )
    return (foreign or candidates)[0]


def load_orchestrator(conf: cfg.ConfigOpts, qinling_endpoint: str) -> Any:
    """Return the process's driver; replaces ``qinling.orchestrator.base.load_orchestrator``."""
    if not base.ORCHESTRATOR:
        name = conf.engine.orchestrator
        point = choose(name, list(metadata.entry_points(group=GROUP, name=name)))
        try:
            base.ORCHESTRATOR = point.load()(conf, qinling_endpoint)
        except Exception as error:
            raise exc.OrchestratorException(f"Failed to load orchestrator {name} ({point.value}): {error}") from error
    return base.ORCHESTRATOR


def needed() -> bool:
    """Return whether Qinling's own function is in place."""
    return base.load_orchestrator.__module__ == base.__name__


def apply() -> None:
    """Replace it."""
    base.load_orchestrator = load_orchestrator
