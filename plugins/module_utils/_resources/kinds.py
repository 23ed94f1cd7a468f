# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of resources, by the key `kind` of what a project states; all of a host's compared at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import hide, literals, mask_pair
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnansweredError
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
    """Return how a resource differs.

    An unknown state counts as a difference: the type of the error stands for it, and what applies the resource reports
    the rest.
    """
    kind = str(desired["kind"])
    try:
        return COMPARED[kind](desired, run).differences()
    except Exception as error:
        return [f"{kind}: {type(error).__name__}"]


def apply(
    desired: list[Mapping[str, Any]], *, check: bool, diff: bool, server_in_same_run: bool, secrets: Iterable[str] = ()
) -> dict[str, Any]:
    """Apply resources one after the other until one fails; return a module's result, with what was done so far.

    With `server_in_same_run`, the same run deploys the server: in check mode, where it does not answer, all is to be
    created. `secrets` are not shown, and neither are those in the desired state.
    """
    sessions, may_be_away = Sessions(), check and server_in_same_run
    done, notes, diffs, message = list[str](), list[str](), list[dict[str, str]](), ""
    hidden = [*secrets, *secrets_of(desired)]
    for wanted in desired:
        kind = APPLIED[wanted["kind"]]
        resource = kind(wanted, Run(check, 0 if may_be_away else kind.WAIT, sessions))
        try:
            resource.apply()
        except UnansweredError as error:
            if may_be_away:
                resource.done.append(f"{wanted['kind']}: everything, once its server answers ({error})")
            else:
                message = str(error)
        except QinlingError as error:
            message = str(error)
        except Exception as error:  # such as a directory that cannot be read
            message = f"{wanted['kind']}: {type(error).__name__}: {error}"
        done += resource.done
        notes += [wanted["note"]] if resource.done and wanted.get("note") else []
        if diff and resource.diff:
            before, after = mask_pair(resource.diff["before"], resource.diff["after"], hidden)
            diffs.append({**resource.diff, "before": before, "after": after})
        if message:
            break
    # As a server may quote them in a statement as well.
    spellings = literals([*hidden, *(secret.replace("\\", r"\\").replace("'", r"\'") for secret in hidden)])
    result = {"changed": bool(done), "done": [hide(text, spellings) for text in done], "notes": notes, "diff": diffs}
    return {**result, "failed": True, "msg": hide(message, spellings)} if message else result


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
