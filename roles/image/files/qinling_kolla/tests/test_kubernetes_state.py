# SPDX-License-Identifier: Apache-2.0
"""Interpretation of the state of pods and deployments."""

import datetime
from typing import Any

import pytest

from qinling_kolla.orchestrator import kubernetes_state as state

NOW = datetime.datetime(2026, 5, 1, 12, 0, 0, tzinfo=datetime.UTC)


def pod(
    phase: str = "Running",
    ready: str = "True",
    labels: Any = None,
    deleted: bool = False,
    containers: Any = (),
    since: str | None = "2026-05-01T11:59:30Z",
) -> dict[str, Any]:
    metadata = {"name": "p", "labels": labels or {"runtime_id": "r"}, "creationTimestamp": "2026-05-01T11:00:00Z"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-05-01T12:00:00Z"
    conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": since}]
    return {
        "metadata": metadata,
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": list(containers)},
    }


def waiting(reason: Any, **more: Any) -> dict[str, Any]:
    return {"image": "i:1", "state": {"waiting": {"reason": reason, **more}}}


def terminated(
    code: Any, reason: str = "Error", begin: str | None = "2026-05-01T11:00:00Z", end: str = "2026-05-01T11:00:07Z"
) -> dict[str, Any]:
    return {"state": {"terminated": {"exitCode": code, "reason": reason, "startedAt": begin, "finishedAt": end}}}


@pytest.mark.parametrize(
    ("one", "ready", "free"),
    [
        (pod(), True, True),
        (pod(ready="False"), False, True),
        (pod(deleted=True), False, False),
        (pod(phase="Failed"), False, False),
        (pod(labels={"runtime_id": "r", "function_id": "f"}), True, False),
        ({"metadata": {}, "status": {}}, False, True),
    ],
)
def test_ready_and_free(one: Any, ready: bool, free: bool) -> None:
    assert (state.ready(one), state.free(one)) == (ready, free)


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([], None),
        ([{"state": {"running": {}}}], None),
        ([waiting("ContainerCreating")], None),
        ([waiting("PodInitializing")], None),
        ([waiting("ErrImagePull", message="no such host")], ("ErrImagePull (image i:1): no such host", False)),
        ([waiting("ImagePullBackOff")], ("ImagePullBackOff (image i:1)", False)),
        ([waiting("InvalidImageName")], ("InvalidImageName (image i:1)", True)),
        (
            [waiting("CreateContainerConfigError", message="image will run as root")],
            ("CreateContainerConfigError (image i:1): image will run as root", True),
        ),
        (
            [{**waiting("CrashLoopBackOff", message="back-off"), "lastState": terminated(3)["state"]}],
            ("CrashLoopBackOff (image i:1), its container ended with exit code 3 (Error)", False),
        ),
        ([{"state": {"running": {}}}, waiting("ErrImageNeverPull")], ("ErrImageNeverPull (image i:1)", True)),
    ],
)
def test_pod_failure(containers: list[Any], expected: tuple[str, bool] | None) -> None:
    found = state.pod_failure(pod(containers=containers))
    assert (found and (found.reason, found.permanent)) == expected


def test_permanent_failure_takes_precedence_and_leaving_pods_are_ignored() -> None:
    passing, lasting = pod(containers=[waiting("ErrImagePull")]), pod(containers=[waiting("InvalidImageName")])
    for pods, permanent in (([passing, lasting], True), ([passing], False)):
        failure = state.pods_failure(pods)
        assert failure is not None
        assert failure.permanent is permanent
    assert state.pods_failure([pod(), pod(containers=[waiting("InvalidImageName")], deleted=True)]) is None


def deployment(
    generation: int = 2,
    observed: int = 2,
    desired: int = 3,
    replicas: int = 3,
    updated: int = 3,
    available: int = 3,
    conditions: Any = (),
) -> dict[str, Any]:
    counts = {"replicas": replicas, "updatedReplicas": updated, "availableReplicas": available}
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": desired},
        # The API omits counts of zero.
        "status": {
            "observedGeneration": observed,
            "conditions": list(conditions),
            **{name: count for name, count in counts.items() if count},
        },
    }


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({}, True),
        ({"observed": 1}, False),
        ({"updated": 2}, False),
        ({"replicas": 4}, False),
        ({"available": 2}, False),
        ({"replicas": 0, "updated": 0, "available": 0}, False),
        ({"desired": 0, "replicas": 0, "updated": 0, "available": 0}, True),
    ],
)
def test_rolled_out(changes: dict[str, Any], done: bool) -> None:
    assert state.rolled_out(deployment(**changes)) is done


LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}
REFUSED = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"conditions": [LATE]}, ("ProgressDeadlineExceeded: m", True)),
        ({"conditions": [LATE], "observed": 1}, None),
        ({"conditions": [{**LATE, "status": "True"}]}, None),
        ({"conditions": [REFUSED]}, ("FailedCreate: exceeded quota", False)),
    ],
)
def test_deployment_failure(changes: dict[str, Any], expected: tuple[str, bool] | None) -> None:
    found = state.deployment_failure(deployment(**changes))
    assert (found and (found.reason, found.permanent)) == expected


def test_unschedulable() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no memory"}
    assert state.unschedulable([pod(), {"status": {"conditions": [condition]}}]) == "Unschedulable: no memory"
    assert state.unschedulable([pod()]) == ""


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], {"total": 3, "available": 0}),
        ([pod(), pod(ready="False"), pod(labels={"function_id": "f"})], {"total": 3, "available": 1}),
    ],
)
def test_pool(pods: list[Any], expected: dict[str, Any]) -> None:
    assert state.pool(deployment(), pods) == expected


def test_empty_pool() -> None:
    assert state.pool({"metadata": {}, "spec": {}, "status": {}}, [pod()]) == {"total": 0, "available": 0}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (pod(containers=[{"state": {"running": {}}}]), None),
        (pod(containers=[waiting("ContainerCreating")]), None),
        (pod(containers=[terminated(0, "Completed")]), (0, "Completed", 7)),
        (pod(containers=[terminated(137, "OOMKilled")]), (137, "OOMKilled", 7)),
        (pod(containers=[terminated(1, begin=None)]), (1, "Error", 0)),
        (pod(containers=[terminated(1, begin="2026-05-01T11:00:09Z")]), (1, "Error", 0)),
        (pod(phase="Failed"), (1, "", 0)),
        (pod(phase="Succeeded"), (0, "", 0)),
    ],
)
def test_ended(one: Any, expected: tuple[int, str, int] | None) -> None:
    found = state.ended(one)
    assert (found and (found.exit_code, found.reason, found.seconds)) == expected


@pytest.mark.parametrize(
    ("containers", "started"),
    [([], False), ([waiting("x")], False), ([{"state": {"running": {}}}], True), ([terminated(0)], True)],
)
def test_started(containers: list[Any], started: bool) -> None:
    assert state.started(pod(containers=containers)) is started


@pytest.mark.parametrize(("lifetime", "expired"), [(3599, True), (3600, False), (4000, False)])
def test_expired(lifetime: int, expired: bool) -> None:
    assert state.expired(pod(), lifetime, NOW) is expired


@pytest.mark.parametrize(
    ("one", "seconds"), [(pod(), 0), (pod(ready="False"), 30), (pod(ready="False", since=None), 0)]
)
def test_unready_seconds(one: Any, seconds: int) -> None:
    assert state.unready_seconds(one, NOW) == seconds


@pytest.mark.parametrize(
    ("version", "field"),
    [
        ({"major": "1", "minor": "16"}, False),
        ({"major": "1", "minor": "18+"}, False),
        ({"major": "1", "minor": "19"}, True),
        ({"major": "1", "minor": "35+"}, True),
        ({"major": "2", "minor": "0"}, True),
        ({}, True),
    ],
)
def test_seccomp_field(version: dict[str, Any], field: bool) -> None:
    assert state.has_seccomp_field(version) is field


STATUS = {"kind": "Status", "apiVersion": "v1", "message": "m"}


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (503, STATUS, "m"),
        (404, {**STATUS, "message": None, "reason": "NotFound"}, "NotFound"),
        (200, STATUS, ""),
        (500, {"output": "x", "success": False}, ""),
        (500, ["Status"], ""),
        (500, {"kind": "Status"}, ""),
    ],
)
def test_refusal(status: int, answer: Any, message: str) -> None:
    assert state.refusal(status, answer) == message


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (404, 'pods "x" not found', True),
        (400, "address not allowed", True),
        (503, "error trying to reach service: dial tcp 10.244.0.3:9090: connect: connection refused", True),
        (502, "dial tcp 10.244.0.3:9090: i/o timeout", True),
        (503, "error trying to reach service: EOF", False),
        (503, "error trying to reach service: read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer", False),
        (403, 'pods "x:9090" is forbidden', False),
    ],
)
def test_never_arrived(status: int, message: str, expected: bool) -> None:
    assert state.never_arrived(status, message) is expected
