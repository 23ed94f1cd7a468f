# SPDX-License-Identifier: Apache-2.0
"""Interpretation of the state of pods and deployments for the Kubernetes driver: pure functions of the API's data.

Reasons of waiting containers come from the kubelet (pkg/kubelet/images/types.go and kuberuntime), conditions from
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from qinling_kolla.orchestrator import kubernetes_objects as objects

Object = Mapping[str, Any]

# Only another image or setting resolves these; the others may be temporary.
_PERMANENT = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
_FAILING = {
    *_PERMANENT,
    "ErrImagePull",
    "ImagePullBackOff",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
    "ErrImageInspect",
    "RegistryUnavailable",
}


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a pod or a deployment does not become ready."""

    reason: str
    permanent: bool = False


@dataclasses.dataclass(frozen=True)
class Ended:
    """How the container of an image function ended."""

    exit_code: int
    reason: str
    seconds: int


def _containers(pod: Object) -> list[Object]:
    return pod.get("status", {}).get("containerStatuses") or []


def labels(pod: Object) -> Mapping[str, str]:
    """Return an object's labels."""
    return pod["metadata"].get("labels") or {}


def name(pod: Object) -> str:
    """Return an object's name."""
    return str(pod["metadata"]["name"])


def leaving(pod: Object) -> bool:
    """Return whether a pod is being deleted or has ended."""
    return bool(pod["metadata"].get("deletionTimestamp")) or pod["status"].get("phase") in ("Succeeded", "Failed")


def _condition(item: Object, kind: str) -> Object:
    conditions = item.get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def ready(pod: Object) -> bool:
    """Return whether a pod answers requests."""
    return not leaving(pod) and _condition(pod, "Ready").get("status") == "True"


def free(pod: Object) -> bool:
    """Return whether a pod of a pool belongs to no function."""
    return not leaving(pod) and objects.FUNCTION not in labels(pod)


def parse_time(text: str | None) -> datetime.datetime | None:
    """Return a parsed time of the API, or None."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def unready_seconds(pod: Object, now: datetime.datetime) -> float:
    """Return for how long a pod has not been ready; 0 if it is ready or the time is unknown."""
    since = parse_time(_condition(pod, "Ready").get("lastTransitionTime"))
    return 0.0 if ready(pod) or since is None else (now - since).total_seconds()


def pod_failure(pod: Object) -> Failure | None:
    """Return why a pod's containers fail to run, or None without a sign of failure."""
    for status in _containers(pod):
        waiting = status.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason not in _FAILING:
            continue
        text = f"{reason} (image {status.get('image')})"
        last = status.get("lastState", {}).get("terminated")
        if last:
            text += f", its container ended with exit code {last.get('exitCode')} ({last.get('reason')})"
        elif waiting.get("message"):
            text += f": {waiting['message']}"
        return Failure(text, reason in _PERMANENT)
    return None


def pods_failure(pods: Iterable[Object]) -> Failure | None:
    """Return the worst failure among pods that are not leaving; a permanent one takes precedence."""
    failures = [failure for pod in pods if not leaving(pod) and (failure := pod_failure(pod))]
    return max(failures, key=lambda failure: failure.permanent, default=None)


def unschedulable(pods: Iterable[Object]) -> str:
    """Return why pods cannot be scheduled, or an empty text."""
    for pod in pods:
        condition = _condition(pod, "PodScheduled")
        if condition.get("status") == "False":
            return f"{condition.get('reason')}: {condition.get('message')}"
    return ""


def rolled_out(deployment: Object) -> bool:
    """Return whether all pods have the current template and are available, as `kubectl rollout status` does."""
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return (
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= replicas
        and status.get("replicas", 0) <= status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= status.get("updatedReplicas", 0)
    )


def deployment_failure(deployment: Object) -> Failure | None:
    """Return why a deployment makes no progress, or None."""
    if deployment.get("status", {}).get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return None
    progressing = _condition(deployment, "Progressing")
    if progressing.get("status") == "False" and progressing.get("reason") == "ProgressDeadlineExceeded":
        return Failure(f"ProgressDeadlineExceeded: {progressing.get('message')}", True)
    refused = _condition(deployment, "ReplicaFailure")
    if refused.get("status") == "True":
        return Failure(f"{refused.get('reason')}: {refused.get('message')}")
    return None


def pool(deployment: Object, pods: Iterable[Object]) -> dict[str, int]:
    """Return a pool's size and the number of its free workers."""
    total = deployment.get("status", {}).get("replicas", 0)
    return {"total": total, "available": sum(1 for pod in pods if free(pod) and ready(pod)) if total else 0}


def started(pod: Object) -> bool:
    """Return whether a pod's containers run or have run."""
    return any({"running", "terminated"} & status.get("state", {}).keys() for status in _containers(pod))


def ended(pod: Object) -> Ended | None:
    """Return how the container of an image function ended, or None while it runs."""
    for status in _containers(pod):
        terminated = status.get("state", {}).get("terminated")
        if terminated:
            begin, end = parse_time(terminated.get("startedAt")), parse_time(terminated.get("finishedAt"))
            seconds = int((end - begin).total_seconds()) if begin and end else 0
            return Ended(int(terminated.get("exitCode", 1)), terminated.get("reason") or "", max(seconds, 0))
    if pod["status"].get("phase") in ("Failed", "Succeeded"):
        return Ended(0 if pod["status"]["phase"] == "Succeeded" else 1, pod["status"].get("reason") or "", 0)
    return None


def expired(pod: Object, lifetime: int, now: datetime.datetime) -> bool:
    """Return whether an image function's pod is older than any execution, so that no engine waits for it."""
    created = parse_time(pod["metadata"].get("creationTimestamp"))
    return created is not None and (now - created).total_seconds() > lifetime


def has_seccomp_field(version: Object) -> bool:
    """Return whether a response of /version is from server 1.19 or newer, which supports seccompProfile."""
    numbers = ["".join(filter(str.isdigit, str(version.get(part, "")))) for part in ("major", "minor")]
    if not all(numbers):
        return True
    return (int(numbers[0]), int(numbers[1])) >= (1, 19)


def refusal(status: int, answer: object) -> str:
    """Return the API server's own error if it could not proxy a request to a pod, or an empty text.

    Such errors are objects of kind Status; any other response comes from the worker.
    """
    if (
        status >= 400
        and isinstance(answer, Mapping)
        and answer.get("kind") == "Status"
        and answer.get("apiVersion") == "v1"
    ):
        return str(answer.get("message") or answer.get("reason") or status)
    return ""


def never_arrived(status: int, message: str) -> bool:
    """Return whether an error of the API server proves that the request did not arrive at the worker.

    This holds for a missing pod (404), a pod without an address (400) and a failed connection, not for an aborted one.
    """
    return status in (400, 404) or (status >= 500 and "dial tcp" in message)
