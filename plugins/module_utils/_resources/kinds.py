# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of resources, by the key `kind` of what a project states; all of a host's compared at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnansweredError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.database import Database
from ansible_collections.qinling.kolla.plugins.module_utils._resources.file import File
from ansible_collections.qinling.kolla.plugins.module_utils._resources.keystone_service import KeystoneService
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Compared, Resource, Run, Sessions
from ansible_collections.qinling.kolla.plugins.module_utils._resources.runtimes import Runtimes
from ansible_collections.qinling.kolla.plugins.module_utils._resources.swarm import Swarm

APPLIED: dict[str, type[Resource]] = {
    "database": Database,
    "keystone_service": KeystoneService,
    "runtimes": Runtimes,
    "file": File,
}
COMPARED: dict[str, type[Compared]] = {**APPLIED, "swarm": Swarm}


def differences(desired: Mapping[str, Any], run: Run) -> list[str]:
    """Return how a resource differs.

    An unknown state counts as a difference: the type of the error stands for it, and what applies the resource reports
    the rest.
    """
    kind = str(desired["kind"])
    try:
        return COMPARED[kind](desired, run).differences()
    except Exception as error:
        return [f"{kind}: {type(error).__name__}"]


def apply(desired: Iterable[Mapping[str, Any]], *, check: bool, planned: bool) -> dict[str, Any]:
    """Apply resources one after the other, and return the result of a module.

    With `planned`, the same run deploys the server: in check mode, where it does not answer, all is to be created.
    """
    sessions = Sessions()
    done, diffs = list[str](), list[dict[str, str]]()
    message = ""
    for wanted in desired:
        kind = APPLIED[wanted["kind"]]
        resource = kind(wanted, Run(check, 0 if check and planned else kind.WAIT, sessions))
        try:
            done += resource.apply()
        except UnansweredError as error:
            if not (check and planned):
                message = str(error)
                break
            done.append(f"{wanted['kind']}: everything, on a server that does not exist yet")
        except QinlingError as error:
            message = str(error)
            break
        diffs += filter(None, [resource.diff])
    result = {"changed": bool(done), "done": done, "diff": diffs}
    return {**result, "failed": True, "msg": message} if message else result


class Comparison:
    """All resources, compared at the same time in the background until the result is needed."""

    def __init__(self, by_project: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Take the desired resources by project."""
        run = Run()
        count = sum(1 for resources in by_project.values() for _desired in resources)
        self._pool = ThreadPoolExecutor(max_workers=max(1, count))
        self._results = {
            project: [(str(desired["kind"]), self._pool.submit(differences, desired, run)) for desired in resources]
            for project, resources in by_project.items()
        }

    def differences(self) -> dict[str, dict[str, list[str]]]:
        """Return what differs by project and kind; kinds without a difference are left out."""
        self._pool.shutdown()
        found: dict[str, dict[str, list[str]]] = {project: {} for project in self._results}
        for project, results in self._results.items():
            for kind, result in results:
                if result.result():
                    found[project].setdefault(kind, []).extend(result.result())
        return found
