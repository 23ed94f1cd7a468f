# SPDX-License-Identifier: Apache-2.0
"""The Swarm driver's objects and its interpretation of Swarm's state: plain data and pure functions, no connection.

A worker is a service of one replica. Its state is in the service's labels, which can change without restarting the
task; an update names the version that it changes, so only one of two engines that claim the same worker succeeds.

Limits are enforced as follows:
- a worker's container has a limit for all concurrent executions of its function (CPU, memory, processes; its tmpfs
  counts as memory), from [resource_limits] max_* and [engine] function_concurrency, as Swarm cannot change a limit
  without restarting the task, and a worker starts before its function is known;
- the runtime limits memory, processes and time of each execution;
- an image function's container has exactly the function's own CPU and memory limits.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

# Labels of every object that this driver creates.
MANAGED = "qinling.kolla/managed"
INSTANCE = "qinling.kolla/instance"
KIND = "qinling.kolla/kind"
# Labels of workers: the image by the operator's name, and whether the worker may be claimed.
IMAGE = "qinling.kolla/image"
STATE = "qinling.kolla/state"
READY, NEW, LEAVING = "ready", "new", "leaving"
# Labels of workers, named as in Qinling's Kubernetes driver.
RUNTIME = "runtime_id"
FUNCTION = "function_id"
VERSION = "function_version"
# Label of image functions: when no engine waits for the service any more, in seconds since the epoch.
EXPIRES = "qinling.kolla/expires"

WORKER, EXECUTION, POOL = "worker", "execution", "pool"

# A worker requires a token, so that functions cannot use each other's workers. It gets only the hash of the token, as a
# function can read the environment of its container's processes.
TOKEN_VARIABLE = "QINLING_WORKER_TOKEN_SHA256"
TOKEN_HEADER = "X-Qinling-Worker-Token"
WORKER_PORT = 9090
PACKAGES = "/var/qinling/packages"

_MIB = 1024 * 1024
_SECOND = 10**9
# Memory of the runtime's own processes and of its two tmpfs, in bytes.
SERVER_MEMORY = 128 * _MIB
SCRATCH_MEMORY = 128 * _MIB
PACKAGES_MEMORY = 256 * _MIB
WORKER_PIDS = 512
EXECUTION_PIDS = 256

# Each worker gets its own user ID: the kernel counts processes, inotify watches and keys by user on the whole host,
# across containers. The range is below systemd's and above the usual contents of subuid files.
FIRST_USER = 700_000_000
USERS = 100_000_000

_IDENTIFIER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?", re.ASCII)
_URL = re.compile(
    r"swarm://(?P<function>[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)-(?P<version>[0-9]+)"
    r"/(?P<runtime>[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)/(?P<path>[a-z]+)",
    re.ASCII,
)


@dataclass(frozen=True)
class Limits:
    """Limits of a container: CPU in thousandths of a core, memory in bytes."""

    cpu: int
    memory: int
    pids: int


@dataclass(frozen=True)
class Place:
    """Where tasks run: the functions' network, the deployment's name on a shared Swarm, and constraints."""

    network: str
    instance: str
    constraints: Sequence[str] = ()
    # Supported since version 1.44 of the API; before, the runtime sets no_new_privs itself.
    no_new_privileges: bool = False
    # Whether the network is internal; external names then cannot be resolved either.
    internal: bool = True


@dataclass(frozen=True)
class Worker:
    """A running worker with an address."""

    name: str
    address: str


def identifier(value: object, what: str) -> str:
    """Return ``value`` if it is valid in names and labels, else raise ValueError."""
    text = str(value)
    if len(text) > 63 or not _IDENTIFIER.fullmatch(text):
        raise ValueError(f"Invalid {what} {text[:63]!r}: expected letters, digits, - and _, at most 63 characters.")
    return text


def worker_limits(max_cpu: int, max_memory: int, concurrency: int) -> Limits:
    """Return a worker's limits for ``concurrency`` executions at once, each with Qinling's maximum."""
    at_once = max(1, concurrency)
    memory = max_memory * at_once + SERVER_MEMORY + SCRATCH_MEMORY + PACKAGES_MEMORY
    return Limits(cpu=max_cpu * at_once, memory=memory, pids=WORKER_PIDS)


def base_labels(instance: str, kind: str) -> dict[str, str]:
    """Return the labels that identify an object of this deployment."""
    return {MANAGED: "true", INSTANCE: instance, KIND: kind}


def selector(labels: Mapping[str, str]) -> dict[str, list[str]]:
    """Return ``labels`` as a filter of Docker's API."""
    return {"label": [f"{key}={value}" for key, value in labels.items()]}


def function_labels(function_id: object, version: object) -> dict[str, str]:
    """Return the labels of a function's workers."""
    return {
        FUNCTION: identifier(function_id, "function ID"),
        VERSION: identifier(version, "function version"),
    }


def pool_name(instance: str, runtime_id: str) -> str:
    """Return the name of a runtime's pool record, unique for instance and runtime, at most 64 characters."""
    return f"qinling-pool-{hashlib.sha256(f'{instance}/{runtime_id}'.encode()).hexdigest()[:32]}"


def pool_record(runtime_id: str, image: str, instance: str, key: bytes) -> tuple[str, bytes, dict[str, str]]:
    """Return name, content and labels of the Swarm config that records a runtime's pool.

    Labels can be changed later, the content cannot: it is the ``key`` from which the tokens of the pool's workers are
    derived. No task can read it.
    """
    labels = {**base_labels(instance, POOL), RUNTIME: runtime_id, IMAGE: image}
    return pool_name(instance, runtime_id), key, labels


def key_of(record: Mapping[str, Any]) -> bytes:
    """Return the key in the record of a pool."""
    return base64.b64decode(record["Spec"]["Data"])


def token(key: bytes, worker_name: str) -> str:
    """Return the token of a worker."""
    return hmac.new(key, worker_name.encode(), hashlib.sha256).hexdigest()


def _tmpfs_with_exec(target: str, size: int, labels: Mapping[str, str]) -> Spec:
    # Docker mounts type=tmpfs with noexec, so compiled modules in packages could not be loaded. A volume has no such
    # flag. It is anonymous and is removed with the container.
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size},mode=1777,nosuid,nodev"}
    driver = {"Name": "local", "Options": options}
    volume = {"NoCopy": True, "Labels": dict(labels), "DriverConfig": driver}
    return {"Type": "volume", "Target": target, "VolumeOptions": volume}


def _tmpfs(target: str, size: int) -> Spec:
    return {"Type": "tmpfs", "Target": target, "TmpfsOptions": {"SizeBytes": size, "Mode": 0o1777}}


def _task(container: Spec, limits: Limits, restart: Spec, place: Place) -> Spec:
    """Return a TaskTemplate with the settings of all tasks, workers and image functions."""
    hardened = {
        **container,
        "ReadOnly": True,
        "Init": True,
        "CapabilityDrop": ["ALL"],
        "StopGracePeriod": 2 * _SECOND,
        "Labels": base_labels(place.instance, container["Labels"][KIND]) | container["Labels"],
    }
    if place.internal:
        # Docker resolves the network's names itself, and forwards others to the host's name servers: a leak of data if
        # they are on the host's loopback, else a delay of 10 s. This address never answers, so it fails within 1 s.
        hardened["DNSConfig"] = {"Nameservers": ["127.0.0.1"], "Options": ["timeout:1", "attempts:1"]}
    if place.no_new_privileges:
        hardened["Privileges"] = {"NoNewPrivileges": True}
    return {
        "ContainerSpec": hardened,
        "Resources": {
            "Limits": {"NanoCPUs": limits.cpu * 10**6, "MemoryBytes": limits.memory, "Pids": limits.pids},
        },
        "RestartPolicy": restart,
        "Placement": {"Constraints": list(place.constraints)},
        "Networks": [{"Target": place.network}],
        # Readable through the API and limited in size, independent of the daemon's default.
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m", "max-file": "2"}},
    }


def _service(name: str, labels: Mapping[str, str], task: Spec) -> Spec:
    return {
        "Name": name,
        "Labels": dict(labels),
        "TaskTemplate": task,
        "Mode": {"Replicated": {"Replicas": 1}},
        # No virtual address: requests use the address of each worker, which also works on kernels without IPVS.
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def user(seed: int) -> str:
    """Return the numeric user and group of a task, selected by the random number ``seed``."""
    number = FIRST_USER + seed % USERS
    return f"{number}:{number}"


def worker_spec(
    runtime_id: str, image: str, task_image: str, limits: Limits, place: Place, *, suffix: str, key: bytes, user: str
) -> Spec:
    """Return the service of one idle worker.

    ``image`` is the operator's name of the image, ``task_image`` the name or ID for nodes. The random ``suffix`` keeps
    the name unique forever, as Qinling stores names of workers in etcd.
    """
    name = f"worker-{runtime_id[:40]}-{suffix}"
    labels = {**base_labels(place.instance, WORKER), RUNTIME: runtime_id, IMAGE: image, STATE: READY}
    owner = {MANAGED: "true", INSTANCE: place.instance}
    container = {
        "Image": task_image,
        "Labels": {KIND: WORKER, RUNTIME: runtime_id},
        "Env": [f"{TOKEN_VARIABLE}={hashlib.sha256(token(key, name).encode()).hexdigest()}"],
        "User": user,
        "Mounts": [
            _tmpfs_with_exec("/tmp", SCRATCH_MEMORY, owner),
            _tmpfs_with_exec(PACKAGES, PACKAGES_MEMORY, owner),
        ],
    }
    restart = {"Condition": "any", "Delay": 2 * _SECOND}
    return _service(name, labels, _task(container, limits, restart, place))


def execution_spec(
    name: str, task_image: str, args: Sequence[str], limits: Limits, place: Place, *, user: str, expires: int
) -> Spec:
    """Return the service of one execution of an image function: it runs once and is never restarted."""
    container = {
        "Image": task_image,
        "Labels": {KIND: EXECUTION},
        "Args": list(args),
        "User": user,
        "Mounts": [_tmpfs("/tmp", min(SCRATCH_MEMORY, limits.memory))],
    }
    labels = {**base_labels(place.instance, EXECUTION), EXPIRES: str(expires)}
    return _service(name, labels, _task(container, limits, {"Condition": "none"}, place))


def arguments(given: object) -> list[str]:
    """Return an image function's arguments from an execution's input, as Qinling's own driver interprets it.

    Text is split at whitespace; a JSON list contains the arguments. Raise ValueError for other input.
    """
    if not given:
        return []
    if isinstance(given, Mapping) and "__function_input" in given:
        return str(given["__function_input"] or "").split()
    if isinstance(given, str | bytes):
        try:
            given = json.loads(given)
        except ValueError:
            raise ValueError("Invalid input of an image function: expected text or a JSON list.") from None
    if isinstance(given, list):
        return [item if isinstance(item, str) else json.dumps(item) for item in given]
    raise ValueError("Invalid input of an image function: expected text or a JSON list.")


def url(function_id: object, version: object, runtime_id: str) -> str:
    """Return the URL of a function's workers; it includes the runtime, so that a lost worker can be replaced."""
    labels = function_labels(function_id, version)
    return f"swarm://{labels[FUNCTION]}-{labels[VERSION]}/{runtime_id}"


def parse_url(address: str) -> tuple[str, str, str, str]:
    """Return (function ID, version, runtime ID, path) of a worker's URL; raise ValueError for another URL."""
    found = _URL.fullmatch(address)
    if not found:
        raise ValueError(f"{address!r} is not the address of a function's workers")
    return found["function"], found["version"], found["runtime"], found["path"]


def labels_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return a service's labels."""
    return dict(service["Spec"].get("Labels") or {})


def name_of(service: Mapping[str, Any]) -> str:
    """Return a service's name."""
    return str(service["Spec"]["Name"])


def is_idle(service: Mapping[str, Any]) -> bool:
    """Return whether a worker can be claimed for a function."""
    labels = labels_of(service)
    return labels.get(STATE) == READY and FUNCTION not in labels


def belongs_to_pool(service: Mapping[str, Any]) -> bool:
    """Return whether a worker counts in its runtime's pool: not while on trial or about to be removed."""
    return labels_of(service).get(STATE) == READY


def relabelled(service: Mapping[str, Any], labels: Mapping[str, str]) -> Spec:
    """Return a service's specification with ``labels`` added, else unchanged, so that the task is not restarted."""
    spec = service["Spec"]
    return {**spec, "Labels": {**labels_of(service), **labels}}


def address_of(task: Mapping[str, Any], network: str) -> str | None:
    """Return a task's IPv4 address on the network with this name or ID, None without an address."""
    for attachment in task.get("NetworksAttachments") or ():
        attached = attachment.get("Network") or {}
        if network in (attached.get("ID"), (attached.get("Spec") or {}).get("Name")):
            for address in attachment.get("Addresses") or ():
                if "." in address:
                    return str(address).partition("/")[0]
    return None


def state_of(task: Mapping[str, Any]) -> str:
    """Return Swarm's name of a task's state."""
    return str((task.get("Status") or {}).get("State", "unknown"))


def failure_of(task: Mapping[str, Any]) -> str | None:
    """Return why a task ended or cannot start, None without a failure."""
    status = task.get("Status") or {}
    if status.get("State") not in ("failed", "rejected", "complete", "orphaned"):
        return None
    reason = status.get("Err") or "the container ended"
    code = (status.get("ContainerStatus") or {}).get("ExitCode")
    return f"{reason} (exit status {code})" if code and str(code) not in reason else str(reason)


def has_run(task: Mapping[str, Any]) -> bool:
    """Return whether an ended task's container ran, as opposed to a failed start."""
    ran = (task.get("Status") or {}).get("ContainerStatus") or {}
    return state_of(task) == "complete" or bool(ran.get("ExitCode"))


def newest(tasks: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the task created last, None without tasks."""
    return max(tasks, key=lambda task: str(task.get("CreatedAt", "")), default=None)


def by_service(tasks: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the tasks grouped by the ID of their service."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for task in tasks:
        groups.setdefault(str(task.get("ServiceID")), []).append(task)
    return groups


def running(tasks: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the running task, None if no task runs."""
    return newest(t for t in tasks if state_of(t) == "running" and t.get("DesiredState", "running") == "running")


def workers(services: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]], network: str) -> list[Worker]:
    """Return the workers that run and have an address."""
    groups = by_service(tasks)
    found = []
    for service in services:
        task = running(groups.get(str(service["ID"]), ()))
        address = address_of(task, network) if task else None
        if address:
            found.append(Worker(name_of(service), address))
    return found


def why_not_running(services: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]]) -> str:
    """Return one line about all workers that do not run: state and failure of their newest tasks."""
    groups = by_service(tasks)
    lines = []
    for service in services:
        own = groups.get(str(service["ID"]), [])
        if running(own):
            continue
        failed = newest(task for task in own if failure_of(task))
        last = newest(own)
        state = state_of(last) if last else "not scheduled yet"
        stuck = (last.get("Status") or {}).get("Err") if last else None
        reason = (failure_of(failed) if failed else None) or stuck
        lines.append(f"{name_of(service)}: {state}" + (f", {reason}" if reason else ""))
    return "; ".join(lines)


def last_failure(tasks: Iterable[Mapping[str, Any]]) -> str:
    """Return why the newest failed task failed."""
    failed = newest(task for task in tasks if failure_of(task))
    return (failure_of(failed) if failed else None) or "unknown cause"


def failures(tasks: Iterable[Mapping[str, Any]]) -> int:
    """Return the largest number of failed tasks of one service."""
    return max((sum(1 for task in own if failure_of(task)) for own in by_service(tasks).values()), default=0)


def choose(candidates: Sequence[Worker], busy: Mapping[str, int], avoid: Iterable[str], roll: float) -> Worker:
    """Return the least busy worker, by ``roll`` in [0, 1) among equals; one in ``avoid`` only as a last resort."""
    avoided = set(avoid)
    usable = [worker for worker in candidates if worker.name not in avoided] or list(candidates)
    least = min(busy.get(worker.name, 0) for worker in usable)
    equal = [worker for worker in usable if busy.get(worker.name, 0) == least]
    return equal[int(roll * len(equal)) % len(equal)]


def surplus(services: Sequence[Mapping[str, Any]], replicas: int) -> list[Mapping[str, Any]]:
    """Return the idle workers to remove from a pool larger than ``replicas``; all engines select the same ones."""
    pool = [service for service in services if belongs_to_pool(service)]
    idle = sorted((service for service in pool if is_idle(service)), key=name_of)
    return idle[: max(0, len(pool) - replicas)]


def worker_address(worker: Worker, path: str, gateway_url: str) -> str:
    """Return the HTTP address of ``path`` on a worker, through the gateway if configured."""
    if gateway_url:
        return f"{gateway_url.rstrip('/')}/worker/{worker.address}/{path}"
    return f"http://{worker.address}:{WORKER_PORT}/{path}"
