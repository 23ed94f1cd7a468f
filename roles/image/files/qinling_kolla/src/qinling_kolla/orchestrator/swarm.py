# SPDX-License-Identifier: Apache-2.0
"""Qinling's orchestrator interface over Docker Swarm.

A runtime's pool is a record (a Swarm config) and `[swarm] replicas` workers, services of one replica each. A function
claims idle workers; removed ones are replaced by idle ones, so the number is constant. An image function's execution is
one service that runs once. `swarm_spec` defines these objects, `swarm_client` calls Docker's API.

Qinling stores `swarm://<function>-<version>/<runtime>` as the address of a function's workers. The adapter resolves the
function's workers for each request, so they may move, fail or be replaced.
"""

import contextlib
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import requests
from oslo_config import cfg
from oslo_log import log as logging
from qinling import exceptions as exc
from qinling.orchestrator import base
from qinling.utils import etcd_util

from qinling_kolla import failures, reclaim, worker
from qinling_kolla.orchestrator import names, transport
from qinling_kolla.orchestrator import swarm_spec as spec
from qinling_kolla.orchestrator.swarm_client import SwarmClient

LOG = logging.getLogger(__name__)

PREFIX = "swarm://"
GATEWAY_HEADER = "X-Qinling-Gateway"
POLL_SECONDS = 0.2
# How long a function waits for a starting idle worker.
CLAIM_SECONDS = 20
# How long an image function may take to start, including the pull of its image.
START_SECONDS = 120
CACHE_SECONDS = 2.0
AVOID_SECONDS = 5.0
# Failures after which a worker on trial counts as broken; it is restarted every 2 s.
MAX_FAILURES = 3
# Qinling stores logs in a MySQL TEXT column of 65535 bytes.
MAX_LOGS = 60000


class SwarmManager(base.OrchestratorBase):
    """Runtimes and functions on Docker Swarm. Every method may run concurrently in several threads and engines."""

    def __init__(self, conf: cfg.ConfigOpts, qinling_endpoint: str) -> None:
        self.conf = conf
        self.qinling_endpoint = qinling_endpoint
        self.options = conf.swarm
        # Several deployments may share a Swarm: objects are labelled with their deployment's name.
        self.instance = spec.identifier(getattr(conf.swarm, "instance", None) or conf.swarm.network, "[swarm] instance")
        self.client = SwarmClient(conf.swarm)
        logging.getLogger("docker").logger.setLevel(conf.swarm.log_level)
        self.adapter = SwarmAdapter(self)
        self.session = requests.Session()
        self.mount(self.session)
        self._locks: dict[str, threading.RLock] = {}
        self._locks_guard = threading.Lock()
        try:
            self.healthy()
        except exc.OrchestratorException as error:
            # Docker may start later; operations that need it report the error again.
            LOG.warning("The Swarm is not usable yet: %s", error)

    # Interface for the rest of the engine.

    def mount(self, session: requests.Session) -> None:
        """Mount the adapter for swarm:// addresses on ``session``."""
        session.mount(PREFIX, self.adapter)

    def healthy(self) -> bool:
        """Return True; raise OrchestratorException if the Swarm or its network for functions is not usable."""
        self.client.check(self.options.network)
        return True

    # Pools.

    def create_pool(self, name: str, image: str, trusted: bool = True, **_kwargs: Any) -> None:
        """Start the workers of a runtime and wait until they answer; remove them all if they do not.

        ``trusted`` has no effect: every worker is confined in the same way.
        """
        runtime_id, image = self._checked(name, image)
        LOG.info("Creating pool for runtime %s, image %s", runtime_id, image)
        self._save_pool(runtime_id, image)
        try:
            self._fill(runtime_id)
            self._wait_ready(self._pool_services(runtime_id), self.options.pool_timeout)
        except Exception:
            with _logged("Failed to clean up the pool of runtime %s", runtime_id):
                self.delete_pool(runtime_id)
            raise
        LOG.info("Pool for runtime %s created.", runtime_id)

    def delete_pool(self, name: str, **_kwargs: Any) -> None:
        """Remove a runtime's record and all its workers, including claimed ones."""
        runtime_id = self._identifier(name, "runtime ID")
        with self._lock(runtime_id):
            # The record first, so that no engine refills the pool.
            self.client.remove_pool(spec.pool_name(self.instance, runtime_id))
            for service in self._services({spec.RUNTIME: runtime_id}):
                self.client.remove(service["ID"])
        self._clean_up()
        LOG.info("Pool for runtime %s deleted.", runtime_id)

    def update_pool(self, name: str, image: str | None = None, **_kwargs: Any) -> bool:
        """Replace a runtime's idle workers with workers of ``image``; return whether the update succeeded.

        New workers start on trial next to the old ones, first one and then the rest. If all of them answer, the old
        ones are removed; otherwise the new ones. Claimed workers stay until their function is removed. Every failure
        returns False, as Qinling handles no exception here and would leave the runtime "upgrading".
        """
        if image is None:
            return True
        fresh: list[str] = []
        try:
            runtime_id, image = self._checked(name, image)
            with self._lock(runtime_id):
                key = spec.key_of(self._record(runtime_id))
                deadline = time.monotonic() + self.options.pool_timeout
                needed = max(1, len([s for s in self._pool_services(runtime_id) if spec.is_idle(s)]))
                for count in (1, needed - 1):
                    fresh += [self._create_worker(runtime_id, image, key, state=spec.NEW) for _number in range(count)]
                    self._wait_ready(self._by_ids(runtime_id, fresh), deadline - time.monotonic())
                self._save_pool(runtime_id, image)
                LOG.info("Updated runtime %s to image %s", runtime_id, image)
                for service in self._by_ids(runtime_id, fresh):
                    self.client.relabel(service, {spec.STATE: spec.READY})
                fresh = []
                for service in self._pool_services(runtime_id):
                    if spec.is_idle(service) and spec.labels_of(service)[spec.IMAGE] != image:
                        self._remove_idle(service)
                self._fill(runtime_id)
        except Exception as error:
            LOG.error("Failed to update runtime %s to image %s; its image is unchanged: %s", name, image, error)
            for service_id in fresh:
                with _logged("Failed to remove worker %s", service_id):
                    self.client.remove(service_id)
            return False
        finally:
            self._clean_up()
        return True

    def get_pool(self, name: str, **_kwargs: Any) -> dict[str, int]:
        """Return {"total", "available"}: the numbers of a runtime's workers and of its idle running ones."""
        runtime_id = self._identifier(name, "runtime ID")
        if self.client.pool(spec.pool_name(self.instance, runtime_id)) is None:
            raise exc.RuntimeNotFoundException()
        services = self._pool_services(runtime_id)
        return {"total": len(services), "available": len(self._running([s for s in services if spec.is_idle(s)]))}

    # Functions.

    def prepare_execution(
        self,
        function_id: str,
        function_version: int,
        rlimit: Mapping[str, int] | None = None,
        image: str | None = None,
        identifier: str | None = None,
        labels: Mapping[str, str] | None = None,
        input: Any = None,
        **_kwargs: Any,
    ) -> tuple[str, str | None]:
        """Start an image function, or ensure that a package function has a worker.

        Return (name, address); an image function has no address.
        """
        if image:
            if not rlimit:
                raise exc.OrchestratorException("An image function needs CPU and memory limits.")
            return self._start_image_function(str(identifier), image, rlimit, input), None
        runtime_id = self._identifier(identifier, "runtime ID")
        own = self._services(self._function(function_id, function_version))
        name = spec.name_of(own[0]) if own else self._claim(runtime_id, function_id, function_version, 1)[0]
        return name, spec.url(function_id, function_version, runtime_id)

    def run_execution(
        self,
        execution_id: str,
        function_id: str,
        function_version: int,
        rlimit: Mapping[str, int] | None = None,
        input: Any = None,
        identifier: str | None = None,
        service_url: str | None = None,
        entry: str | None = "main.main",
        trust_id: str | None = None,
        timeout: int | None = None,
        **_kwargs: Any,
    ) -> tuple[bool, dict[str, Any]]:
        """Run an execution until it ends and return (success, result)."""
        seconds = timeout or self.conf.resource_limits.max_timeout
        if not service_url:
            return self._finish_image_function(str(identifier), seconds)
        body = worker.get_request_data(
            self.conf,
            function_id,
            function_version,
            execution_id,
            dict(rlimit or {"cpu": 0, "memory_size": 0}),
            input,
            entry,
            trust_id,
            self.qinling_endpoint,
            seconds,
        )
        return worker.url_request(self.session, f"{service_url}/execute", body=body)

    def delete_function(self, function_id: str, function_version: int = 0, labels: Any = None, **_kwargs: Any) -> None:
        """Remove a function's workers; idle ones replace them."""
        function_labels = self._function(function_id, function_version)
        services = self._services(function_labels)
        for service in services:
            self.client.remove(service["ID"])
        self.adapter.forget(function_labels[spec.FUNCTION], function_labels[spec.VERSION])
        for runtime_id in sorted({spec.labels_of(service)[spec.RUNTIME] for service in services}):
            with _logged("Failed to fill the pool of runtime %s", runtime_id):
                self._fill(runtime_id)
        self._clean_up()

    def scaleup_function(
        self, function_id: str, function_version: int, identifier: str | None = None, count: int = 1, **_kwargs: Any
    ) -> tuple[list[str], str]:
        """Claim ``count`` more workers for a function and return (their names, the function's address).

        The function's own workers that are missing in etcd take precedence over idle ones. A pool with fewer workers
        assigns those; this is an error only if the function has no worker at all.
        """
        runtime_id = self._identifier(identifier, "runtime ID")
        function_labels = self._function(function_id, function_version)
        own = [spec.name_of(service) for service in self._services(function_labels)]
        registered = set(etcd_util.get_workers(function_id, function_version))
        workers = [name for name in own if name not in registered][:count]
        try:
            if missing := count - len(workers):
                workers += self._claim(runtime_id, function_id, function_version, missing)
        except exc.OrchestratorException as error:
            if not own:
                raise
            LOG.warning("Function %s (version %s) keeps its current workers: %s", function_id, function_version, error)
        self.adapter.forget(function_labels[spec.FUNCTION], function_labels[spec.VERSION])
        return workers, spec.url(function_id, function_version, runtime_id)

    def delete_worker(self, worker_name: str, **_kwargs: Any) -> None:
        """Remove a worker if it exists; an idle one replaces it."""
        service = self.client.service(self._identifier(worker_name, "worker name"))
        labels = spec.labels_of(service) if service else {}
        if service is None or labels.get(spec.INSTANCE) != self.instance or labels.get(spec.KIND) != spec.WORKER:
            LOG.info("Worker %s does not exist any more", worker_name)
            return
        self.client.remove(service["ID"])
        self.adapter.forget(labels.get(spec.FUNCTION, ""), labels.get(spec.VERSION, ""))
        with _logged("Failed to fill the pool of runtime %s", labels[spec.RUNTIME]):
            self._fill(labels[spec.RUNTIME])
        self._clean_up()

    def holders(self, runtime_id: str) -> set[reclaim.FunctionVersion]:
        """Return the function versions that have workers of a runtime."""
        labels = map(spec.labels_of, self._pool_services(self._identifier(runtime_id, "runtime ID")))
        return {(each[spec.FUNCTION], int(each[spec.VERSION])) for each in labels if spec.FUNCTION in each}

    # Interface for the adapter.

    def find_workers(self, function_id: str, version: str, runtime_id: str) -> tuple[list[spec.Worker], bytes]:
        """Return a function's running workers and their key, claiming a worker if the function has lost all.

        Raise NotReached with the reason if no worker runs.
        """
        try:
            services = self._services(self._function(function_id, version))
            if not services:
                services = self._replace_lost(function_id, version, runtime_id)
            tasks = self.client.tasks([service["ID"] for service in services])
            key = spec.key_of(self._record(runtime_id))
        except exc.OrchestratorException as error:
            raise transport.NotReached(str(error), reason=failures.reason(error)) from error
        found = spec.workers(services, tasks, self.options.network)
        if not found:
            raise transport.NotReached(
                f"No worker of function {function_id} (version {version}) is running: "
                f"{spec.why_not_running(services, tasks) or 'they have no address yet'}"
            )
        return found, key

    def _replace_lost(self, function_id: str, version: str, runtime_id: str) -> list[dict[str, Any]]:
        """Claim a worker for a function whose workers were all removed externally, and register it in etcd."""
        number = int(version)
        if not etcd_util.get_service_url(function_id, number):
            raise exc.OrchestratorException(f"Function {function_id} (version {version}) has been released.")
        with self._lock(runtime_id):
            if services := self._services(self._function(function_id, version)):
                return services
            LOG.warning("All workers of function %s (version %s) are gone; claiming a new one", function_id, version)
            claimed = self._claim(runtime_id, function_id, version, 1, seconds=0)
            for lost in set(etcd_util.get_workers(function_id, number)) - set(claimed):
                etcd_util.delete_worker(function_id, lost, version=number)
            for name in claimed:
                etcd_util.create_worker(function_id, name, version=number)
            return self._services(self._function(function_id, version))

    # Internals of pools.

    def _lock(self, runtime_id: str) -> threading.RLock:
        with self._locks_guard:
            return self._locks.setdefault(runtime_id, threading.RLock())

    @staticmethod
    def _identifier(value: object, what: str) -> str:
        try:
            return spec.identifier(value, what)
        except ValueError as error:
            raise exc.OrchestratorException(str(error)) from None

    @staticmethod
    def _function(function_id: object, version: object) -> dict[str, str]:
        try:
            return spec.function_labels(function_id, version)
        except ValueError as error:
            raise exc.OrchestratorException(str(error)) from None

    def _checked(self, runtime_id: str, image: str) -> tuple[str, str]:
        return self._identifier(runtime_id, "runtime ID"), self._image(image)

    @staticmethod
    def _image(image: object) -> str:
        try:
            return names.image(image)
        except names.InvalidName as error:
            raise exc.OrchestratorException(str(error)) from None

    def _services(self, labels: Mapping[str, str], kind: str = spec.WORKER) -> list[dict[str, Any]]:
        return self.client.services({**spec.base_labels(self.instance, kind), **labels})

    def _pool_services(self, runtime_id: str) -> list[dict[str, Any]]:
        return [service for service in self._services({spec.RUNTIME: runtime_id}) if spec.belongs_to_pool(service)]

    def _by_ids(self, runtime_id: str, ids: list[str]) -> list[dict[str, Any]]:
        return [service for service in self._services({spec.RUNTIME: runtime_id}) if service["ID"] in ids]

    def _running(self, services: list[dict[str, Any]]) -> list[spec.Worker]:
        return spec.workers(services, self.client.tasks([s["ID"] for s in services]), self.options.network)

    def _save_pool(self, runtime_id: str, image: str) -> None:
        self.client.save_pool(*spec.pool_record(runtime_id, image, self.instance, secrets.token_bytes(32)))

    def _record(self, runtime_id: str) -> dict[str, Any]:
        record = self.client.pool(spec.pool_name(self.instance, runtime_id))
        if record is None:
            raise exc.OrchestratorException(f"Runtime {runtime_id} has no pool on this Swarm.")
        return record

    def _task_image(self, image: str) -> str:
        """Return the image for nodes: on a Swarm with one node the ID of a local image, so that nothing is pulled.

        With several nodes, each pulls by name from the image's registry.
        """
        return (self.client.local_image(image) if self.client.single_node() else None) or image

    def _place(self) -> spec.Place:
        return spec.Place(
            network=self.options.network,
            instance=self.instance,
            constraints=tuple(self.options.placement_constraints),
            no_new_privileges=self.client.api_at_least(1, 44),
            internal=self.client.internal(self.options.network),
        )

    def _create_worker(self, runtime_id: str, image: str, key: bytes, state: str = spec.READY) -> str:
        limits = self.conf.resource_limits
        service = spec.worker_spec(
            runtime_id,
            image,
            self._task_image(image),
            spec.worker_limits(limits.max_cpu, limits.max_memory, self.conf.engine.function_concurrency),
            self._place(),
            suffix=secrets.token_hex(5),
            key=key,
            user=spec.user(secrets.randbits(64)),
        )
        service["Labels"][spec.STATE] = state
        return self.client.create(service)

    def _fill(self, runtime_id: str) -> None:
        """Add or remove workers until the pool has its configured number; do nothing for a deleted pool."""
        with self._lock(runtime_id):
            record = self.client.pool(spec.pool_name(self.instance, runtime_id))
            if record is None:
                return
            missing = self.options.replicas - len(self._pool_services(runtime_id))
            for _number in range(missing):
                self._create_worker(runtime_id, record["Spec"]["Labels"][spec.IMAGE], spec.key_of(record))
            # Another engine may have filled the pool at the same time.
            for service in spec.surplus(self._services({spec.RUNTIME: runtime_id}), self.options.replicas):
                self._remove_idle(service)

    def _remove_idle(self, service: Mapping[str, Any]) -> None:
        """Remove an idle worker unless a function claims it first."""
        if self.client.relabel(service, {spec.STATE: spec.LEAVING}):
            self.client.remove(service["ID"])

    def _clean_up(self) -> None:
        """Remove leftovers: image functions of ended engines, leaving workers, and unused volumes."""
        with _logged("Failed to remove leftovers"):
            for service in self._services({}, kind=spec.EXECUTION):
                if int(spec.labels_of(service).get(spec.EXPIRES, "0")) < time.time():
                    LOG.warning("Removing %s, which no engine waits for any more", spec.name_of(service))
                    self.client.remove(service["ID"])
            for service in self._services({spec.STATE: spec.LEAVING}):
                self.client.remove(service["ID"])
            self.client.remove_unused_volumes(self.instance)

    def _claim(
        self, runtime_id: str, function_id: object, version: object, count: int, seconds: float = CLAIM_SECONDS
    ) -> list[str]:
        """Claim up to ``count`` running idle workers and return their names; raise NoFreeWorker if none is free."""
        labels = self._function(function_id, version)
        self._record(runtime_id)
        deadline = time.monotonic() + seconds
        claimed: list[str] = []
        while True:
            pool = self._pool_services(runtime_id)
            idle = [service for service in pool if spec.is_idle(service)]
            if len(pool) < self.options.replicas:
                # Workers were removed externally.
                self._fill(runtime_id)
            ready = {found.name for found in self._running(idle)}
            for service in sorted(idle, key=lambda each: spec.name_of(each) not in ready):
                name = spec.name_of(service)
                if len(claimed) < count and name in ready and self.client.relabel(service, labels):
                    claimed.append(name)
            starting = [service for service in idle if spec.name_of(service) not in ready]
            if len(claimed) >= count or (claimed and not starting) or time.monotonic() >= deadline:
                break
            if not idle and len(pool) >= self.options.replicas:
                break
            time.sleep(POLL_SECONDS)
        if claimed:
            LOG.info("Workers %s serve function %s (version %s)", claimed, function_id, version)
            return claimed
        why = spec.why_not_running(starting, self.client.tasks([service["ID"] for service in starting]))
        total = max(len(pool), self.options.replicas)
        raise reclaim.NoFreeWorker(runtime_id, total, len(pool) - len(idle), details=why)

    def _wait_ready(self, services: list[dict[str, Any]], seconds: float) -> None:
        """Wait until workers answer a ping; raise OrchestratorException with the cause after ``seconds``."""
        deadline = time.monotonic() + seconds
        waiting = {spec.name_of(service) for service in services}
        ids = [service["ID"] for service in services]
        problem = "no task was scheduled"
        while waiting:
            tasks = self.client.tasks(ids)
            for found in spec.workers(services, tasks, self.options.network):
                if found.name in waiting:
                    problem = self.adapter.ping(found) or ""
                    waiting -= set() if problem else {found.name}
            if not waiting:
                return
            stopped = spec.why_not_running(services, tasks)
            if spec.failures(tasks) >= MAX_FAILURES:
                raise exc.OrchestratorException(f"Workers do not start: {stopped or spec.last_failure(tasks)}")
            if time.monotonic() >= deadline:
                raise exc.OrchestratorException(f"Workers are not ready after {seconds:.0f} s: {stopped or problem}")
            time.sleep(POLL_SECONDS)

    # Image functions.

    def _start_image_function(self, name: str, image: str, rlimit: Mapping[str, int], given: Any) -> str:
        try:
            args = spec.arguments(given)
        except ValueError as error:
            raise exc.OrchestratorException(str(error)) from None
        image = self._image(image)
        lifetime = START_SECONDS + self.conf.resource_limits.max_timeout + 60
        self._clean_up()
        service = spec.execution_spec(
            self._identifier(name, "execution name"),
            self._task_image(image),
            args,
            spec.Limits(cpu=rlimit["cpu"], memory=rlimit["memory_size"], pids=spec.EXECUTION_PIDS),
            self._place(),
            user=spec.user(secrets.randbits(64)),
            expires=int(time.time()) + lifetime,
        )
        self.client.create(service)
        return name

    def _finish_image_function(self, name: str, seconds: float) -> tuple[bool, dict[str, Any]]:
        """Wait until an image function ends and return (success, result); always remove its service."""
        service = self.client.service(self._identifier(name, "execution name"))
        if service is None:
            raise failures.PlatformError(reason="the service of its container was removed")
        try:
            task, started = self._wait_ended(service["ID"], seconds)
            if task is None:
                return False, {
                    "output": worker.TIMEOUT_OUTPUT if started else f"Function did not start within {START_SECONDS} s.",
                    "duration": seconds if started else 0,
                    "logs": self._logs(service["ID"]),
                }
            return self._image_result(service["ID"], task, started)
        finally:
            with _logged("Failed to remove service %s", name):
                self.client.remove(service["ID"])

    def _wait_ended(self, service_id: str, seconds: float) -> tuple[Mapping[str, Any] | None, float | None]:
        """Return (the ended task, or None after the time limit; when it was first seen running or None).

        ``seconds`` limits the run, START_SECONDS the start. A task that ran and ended between two polls counts from the
        first of them.
        """
        started: float | None = None
        before = time.monotonic()
        deadline = before + START_SECONDS
        while True:
            task = spec.newest(self.client.tasks([service_id]))
            state = spec.state_of(task) if task else "new"
            if task and (state in ("complete", "shutdown", "remove") or spec.failure_of(task)):
                return task, before if started is None and spec.has_run(task) else started
            if started is None and state == "running":
                started = time.monotonic()
                deadline = started + seconds
            before = time.monotonic()
            if before >= deadline:
                return None, started
            time.sleep(min(POLL_SECONDS, max(0.01, deadline - time.monotonic())))

    def _image_result(
        self, service_id: str, task: Mapping[str, Any], started: float | None
    ) -> tuple[bool, dict[str, Any]]:
        status = task.get("Status") or {}
        ran = status.get("ContainerStatus") or {}
        container = self.client.container(ran["ContainerID"]) if ran.get("ContainerID") else None
        state = (container or {}).get("State") or {}
        duration = _between(state.get("StartedAt"), state.get("FinishedAt"))
        if duration is None:
            # It ran on another node, so use the locally measured time.
            duration = round(time.monotonic() - started, 3) if started else 0.0
        result: dict[str, Any] = {"duration": duration, "logs": self._logs(service_id)}
        if spec.state_of(task) == "complete" and not ran.get("ExitCode"):
            return True, result
        if state.get("OOMKilled"):
            result["output"] = "Function execution failed because of too much resource consumption"
        elif ran.get("ExitCode"):
            result["output"] = f"Function ended with exit status {ran['ExitCode']}."
        else:
            result["output"] = f"Function execution failed: {spec.failure_of(task)}"
        return False, result

    def _logs(self, service_id: str) -> str:
        try:
            return self.client.logs(service_id, MAX_LOGS)
        except exc.OrchestratorException as error:
            LOG.warning("%s", error)
            return ""


class SwarmAdapter(transport.WorkerAdapter):
    """Adapter for a function's workers at swarm://<function>-<version>/<runtime>/<path>."""

    def __init__(self, manager: SwarmManager) -> None:
        super().__init__(pool_connections=16, pool_maxsize=64)
        self._manager = manager
        self._gateway = manager.options.gateway_url or ""
        self._guard = threading.Lock()
        self._cache: dict[tuple[str, str], tuple[float, list[spec.Worker], bytes]] = {}
        self._busy: Counter[str] = Counter()
        self._avoid: dict[str, float] = {}
        self._sending = threading.local()

    def forget(self, function_id: str, version: str) -> None:
        """Drop the cached list of a function's workers."""
        with self._guard:
            self._cache.pop((function_id, version), None)

    def ping(self, found: spec.Worker) -> str | None:
        """Return None if the worker answers a ping, else the reason."""
        address = spec.worker_address(found, "ping", self._gateway)
        try:
            with requests.Session() as session:
                session.trust_env = False
                with session.get(address, timeout=(2, 3), allow_redirects=False, stream=True) as response:
                    if response.status_code == 200:
                        return None
                    return (
                        f"{address} answers {response.status_code} {response.headers.get(GATEWAY_HEADER, '')}".strip()
                    )
        except requests.RequestException as error:
            return f"{address} does not answer ({type(error).__name__})"

    def resolve(self, url: str) -> transport.Target:
        """Return the address of the least busy worker of ``url``."""
        try:
            function_id, version, runtime_id, path = spec.parse_url(url)
        except ValueError as error:
            raise requests.exceptions.InvalidURL(str(error)) from None
        now = time.monotonic()
        with self._guard:
            until, candidates, key = self._cache.get((function_id, version), (0.0, [], b""))
        if until <= now:
            candidates, key = self._manager.find_workers(function_id, version, runtime_id)
            with self._guard:
                self._cache[function_id, version] = (now + CACHE_SECONDS, candidates, key)
        with self._guard:
            self._avoid = {name: end for name, end in self._avoid.items() if end > now}
            chosen = spec.choose(candidates, self._busy, self._avoid, random.random())
            self._busy[chosen.name] += 1
        self._sending.worker = (chosen.name, function_id, version)
        return transport.Target(
            url=spec.worker_address(chosen, path, self._gateway),
            headers={spec.TOKEN_HEADER: spec.token(key, chosen.name)},
        )

    def not_reached(self, response: requests.Response) -> bool:
        """Return whether the gateway could not connect to the worker, or another worker now has its address.

        A worker answers 403 to a wrong token before anything else.
        """
        gateway_status = response.headers.get(GATEWAY_HEADER)
        if gateway_status == "denied":
            LOG.error("The gateway does not forward requests to this worker's address: see its configuration")
        return gateway_status in ("unreachable", "denied") or (gateway_status is None and response.status_code == 403)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request to a worker; avoid an unreachable worker for a while."""
        self._sending.worker = None
        try:
            return super().send(request, *args, **kwargs)
        except requests.ConnectionError as error:
            if self._sending.worker:
                name, function_id, version = self._sending.worker
                self.forget(function_id, version)
                with self._guard:
                    self._avoid[name] = time.monotonic() + AVOID_SECONDS
            if self._gateway and not isinstance(error, transport.NotReached) and worker.never_arrived(error):
                raise transport.GatewayAway(str(error)) from error
            raise
        finally:
            if self._sending.worker:
                with self._guard:
                    self._busy[self._sending.worker[0]] -= 1
                    self._busy += Counter()


def _between(start: str | None, end: str | None) -> float | None:
    """Return the seconds between two of Docker's timestamps, None if one is missing or unset."""
    if not start or not end or end.startswith("0001") or start.startswith("0001"):
        return None
    # fromisoformat does not accept nanoseconds.
    first, last = (datetime.fromisoformat(text.rstrip("Z")[:26].rstrip(".")) for text in (start, end))
    return round((last - first).total_seconds(), 3)


class _logged(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a verb
    """Log an exception of the block and continue, for follow-up work after the requested operation."""

    def __init__(self, message: str, *args: object) -> None:
        self._message = message
        self._args = args

    def __exit__(self, _type: Any, error: BaseException | None, _trace: Any) -> bool:
        if isinstance(error, Exception):
            LOG.warning(f"{self._message}: %s", *self._args, error)
            return True
        return False
