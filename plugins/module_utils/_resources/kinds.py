# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Kinds of resources: apply the resources of a project, and compare those of a host concurrently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import hide, literals, mask_pair
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._resources.database import Database
from ansible_collections.qinling.kolla.plugins.module_utils._resources.file import File
from ansible_collections.qinling.kolla.plugins.module_utils._resources.keystone_service import KeystoneService
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import (
    Compared,
    Resource,
    Run,
    Sessions,
    secrets_of,
)
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
    """Return the differences of a resource.

    A failed comparison counts as a difference with only the type of the error; applying the resource reports details.
    """
    kind = str(desired["kind"])
    try:
        return COMPARED[kind](desired, run).differences()
    except Exception as error:
        return [f"{kind}: {type(error).__name__}"]


def apply(
    desired: list[Mapping[str, Any]], *, check: bool, diff: bool, server_in_same_run: bool, secrets: Iterable[str] = ()
) -> dict[str, Any]:
    """Apply resources one by one until one fails; return a module's result with the changes so far.

    With `server_in_same_run`, the same run deploys the server; in check mode, the server need not answer. `secrets`,
    and those in the desired state, are masked in the result.
    """
    sessions, may_be_absent = Sessions(), check and server_in_same_run
    done, notes, diffs, message = list[str](), list[str](), list[dict[str, str]](), ""
    hidden = [*secrets, *secrets_of(desired)]
    for item in desired:
        kind = APPLIED[item["kind"]]
        resource = kind(item, Run(check, 0 if may_be_absent else kind.WAIT, sessions))
        try:
            resource.apply()
        except UnreachableError as error:
            if may_be_absent:
                resource.done.append(f"{item['kind']}: everything, once its server answers ({error})")
            else:
                message = str(error)
        except QinlingError as error:
            message = str(error)
        except Exception as error:  # such as a directory that cannot be read
            message = f"{item['kind']}: {type(error).__name__}: {error}"
        done += resource.done
        notes += [item["note"]] if resource.done and item.get("note") else []
        if diff and resource.diff:
            before, after = mask_pair(resource.diff["before"], resource.diff["after"], hidden)
            diffs.append({**resource.diff, "before": before, "after": after})
        if message:
            break
    # A server may quote secrets of a statement in its error, escaped as in SQL.
    spellings = literals([*hidden, *(secret.replace("\\", r"\\").replace("'", r"\'") for secret in hidden)])
    result = {"changed": bool(done), "done": [hide(text, spellings) for text in done], "notes": notes, "diff": diffs}
    return {**result, "failed": True, "msg": hide(message, spellings)} if message else result


class Comparison:
    """A concurrent comparison of resources, which runs in the background until the result is requested."""

    def __init__(self, by_project: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Start to compare the desired resources of each project."""
        run = Run()
        count = sum(1 for resources in by_project.values() for _desired in resources)
        self._pool = ThreadPoolExecutor(max_workers=max(1, count))
        self._results = {
            project: [(str(desired["kind"]), self._pool.submit(differences, desired, run)) for desired in resources]
            for project, resources in by_project.items()
        }

    def differences(self) -> dict[str, dict[str, list[str]]]:
        """Return the differences by project and kind, without kinds that do not differ."""
        self._pool.shutdown()
        found: dict[str, dict[str, list[str]]] = {project: {} for project in self._results}
        for project, results in self._results.items():
            for kind, result in results:
                if result.result():
                    found[project].setdefault(kind, []).extend(result.result())
        return found
