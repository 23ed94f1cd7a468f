# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes driver: Qinling's orchestrator interface over apps/v1.

The pool of a runtime is a deployment. Labels assign a worker to a function, and the worker still counts in the pool, as
in Qinling's own driver, so ``[kubernetes] replicas`` limits the workers of a runtime. An image function runs in its own
pod.

Qinling stores one address for each function version. Here it is ``kubernetes://<runtime>/<function>/<version>``, which
stays valid: the worker is selected when a request is sent, and a new one is claimed if all are gone. Requests pass
through the API server's proxy for that pod or through a node port, depending on a setting. The proxy, the default,
opens no port, works wherever the API is reachable, and is faster for a new worker, as a node port answers only once
kube-proxy has set it up (measured on an idle one-node cluster, ping and execution together: 26 ms against 1055 ms on a
new worker, 6 ms against 3 ms on a claimed one).
"""

import contextlib
import datetime
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from oslo_config import cfg
from oslo_log import log as logging
from qinling import exceptions as exc
from qinling.engine import utils
from qinling.orchestrator import base
from qinling.utils import etcd_util

from qinling_kolla import failures, reclaim
from qinling_kolla.orchestrator import kubernetes_api as api
from qinling_kolla.orchestrator import kubernetes_objects as objects
from qinling_kolla.orchestrator import kubernetes_state as state
from qinling_kolla.orchestrator import names, transport

LOG = logging.getLogger(__name__)

SCHEME = "kubernetes://"
POLL_SECONDS = 0.5
# How long a claim waits for starting workers; shorter than the expiry of the surrounding lock in etcd (30 s).
CLAIM_SECONDS = 20
# How long a worker that stopped answering may take to restart before it is replaced.
RESTART_SECONDS = 10
# How long a pool or an image may fail before it counts as failed; registries and schedulers may recover.
FAILURE_SECONDS = 10
# How long the image of an image function may take to start; the function's timeout begins then.
IMAGE_START_SECONDS = 120
# How long the list of a function's workers is cached.
WORKERS_SECONDS = 2.0
TOKEN_HEADER = "X-Qinling-Worker-Token"
# Qinling stores logs in a MySQL TEXT column of 65535 bytes.
MAX_LOG = 16000


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def service_url(runtime_id: str, function_id: str, version: object) -> str:
    """Return the address of a function version's workers that Qinling stores."""
    return f"{SCHEME}{runtime_id}/{function_id}/{version}"


def parse_url(url: str) -> tuple[str, str, str, str]:
    """Return runtime, function, version and path of a request to service_url."""
    runtime_id, function_id, version, path = url.removeprefix(SCHEME).split("/", 3)
    return objects.dns_label(runtime_id), objects.dns_label(function_id), objects.dns_label(version), path


def sidecar_image(conf: cfg.ConfigOpts) -> str:
    """Return the sidecar's image if an operator set it, as Qinling's default supports only old runtime images."""
    location = conf.get_location("sidecar_image", "engine")
    return conf.engine.sidecar_image or "" if location and location.location.is_user_controlled else ""


def addresses(host: str | None) -> list[str]:
    """Return the IP addresses of a host name, an empty list if it cannot be resolved."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)})
    except OSError:
        return []


class PodAdapter(transport.WorkerAdapter):
    """Adapter that sends requests for ``kubernetes://`` URLs to a worker of their function."""

    def __init__(self, manager: "KubernetesManager") -> None:
        """Use ``manager`` to select workers."""
        self._manager = manager
        self._ssl_context = api.ssl_context(manager.conf)
        super().__init__(pool_connections=16, pool_maxsize=64)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Use the TLS context of the driver's API calls."""
        super().init_poolmanager(*arguments, ssl_context=self._ssl_context, **options)

    def resolve(self, url: str) -> transport.Target:
        """Select a worker; claim one if no worker of the function is ready."""
        runtime_id, function_id, version, path = parse_url(url)
        try:
            # A ping does not advance the rotation; only executions are distributed.
            pod = self._manager.choose_worker(runtime_id, function_id, version, take_turn=path != "ping")
            return self._manager.target(pod, path)
        except (api.Unavailable, reclaim.NoFreeWorker) as error:
            raise transport.NotReached(str(error), reason=failures.reason(error)) from error

    def not_reached(self, response: requests.Response) -> bool:
        """Return whether the API server responded itself because it cannot connect to the worker."""
        if response.status_code < 400 or not self._manager.proxied:
            return False
        # Stored in the response, so that it can be read again.
        response._content = transport.read_answer(response)
        try:
            message = state.refusal(response.status_code, json.loads(response.content))
        except ValueError:
            return False
        if not message:
            return False
        if state.never_arrived(response.status_code, message):
            return True
        if response.status_code in (401, 403):
            text = f"Kubernetes API refuses access to a worker (pods/proxy): {message}"
            raise failures.PlatformError(text, api.ApiError.reason)
        raise requests.ConnectionError(f"Kubernetes API lost the worker: {message}", response=response)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request; after a failure, the driver drops its cached list of the function's workers."""
        try:
            return super().send(request, *arguments, **options)
        except (requests.RequestException, exc.OrchestratorException):
            self._manager.forget(*parse_url(request.url or "")[1:3])
            raise


class KubernetesManager(base.OrchestratorBase):
    """Qinling's orchestrator interface, for Kubernetes 1.16 and newer."""

    def __init__(self, conf: cfg.ConfigOpts, qinling_endpoint: str, registry: Any = etcd_util) -> None:
        """Connect to the API server, which may be down at this time.

        Functions reach Qinling's API at ``qinling_endpoint``; ``registry`` stores their workers (Qinling's etcd).
        """
        self.conf = conf
        self.qinling_endpoint = qinling_endpoint
        self.proxied = conf.kubernetes.worker_access == "proxy"
        self.api = api.Api(conf)
        self.session = requests.Session()
        self.mount(self.session)
        self._registry = registry
        self._tls = api.tls(conf) if conf.kubernetes.kube_host.startswith("https:") else (True, None)
        self._lock = threading.Lock()
        self._prepared = False
        self._settings = objects.PodSettings()
        self._swept = 0.0
        self._workers: dict[tuple[str, str], tuple[float, list[api.Object]]] = {}
        self._ports: dict[str, int] = {}
        self._turn = 0
        try:
            self._prepare()
        except exc.OrchestratorException as error:
            LOG.warning("Kubernetes is not usable yet: %s", error)

    # --- preparation

    def mount(self, session: requests.Session) -> None:
        """Mount the adapter for workers on ``session``."""
        session.mount(SCHEME, PodAdapter(self))

    def healthy(self) -> bool:
        """Return whether the API server answers."""
        try:
            self.api.call("GET", "/version")
        except exc.OrchestratorException:
            return False
        return True

    def _prepare(self) -> None:
        """Query the server's version and ensure namespace and network policy, once."""
        with self._lock:
            if not self._prepared:
                self._settings = objects.PodSettings(
                    run_as_user=self.conf.kubernetes.run_as_user,
                    image_pull_secrets=tuple(self.conf.kubernetes.image_pull_secrets),
                    seccomp_field=state.has_seccomp_field(self._version()),
                )
                self._ensure_namespace()
                if self.conf.kubernetes.network_policy:
                    self._ensure_policy()
                self._prepared = True
        self._sweep()

    def _version(self) -> api.Object:
        """Return the server's version; empty without permission to read it."""
        try:
            return dict(self.api.call("GET", "/version"))
        except api.ApiError as error:
            if error.status not in (401, 403):
                raise
            return {}

    def _ensure_namespace(self) -> None:
        path = f"/api/v1/namespaces/{self.api.namespace}"
        try:
            self.api.call("GET", path)
        except api.NotFound:
            LOG.info("Creating namespace %s", self.api.namespace)
            with contextlib.suppress(api.Conflict):
                self.api.call("POST", "/api/v1/namespaces", objects.namespace(self.api.namespace))
        except api.ApiError as error:
            if error.status != 403:
                raise
            # Without permission to read the namespace, the next call shows whether it exists.
            LOG.debug("Namespace %s cannot be read: %s", self.api.namespace, error)

    def _ensure_policy(self) -> None:
        options, endpoint = self.conf.kubernetes, self.qinling_endpoint
        policy = objects.network_policy(
            addresses(urlsplit(endpoint).hostname),
            objects.endpoint_port(endpoint),
            options.egress_allowed_cidrs,
            options.egress_denied_cidrs,
            addresses(urlsplit(options.kube_host).hostname),
        )
        try:
            try:
                self.api.create("networkpolicies", policy)
            except api.Conflict:
                self.api.patch("networkpolicies", objects.POLICY_NAME, {"spec": policy["spec"]})
        except api.ApiError as error:
            if error.status != 403:
                raise
            LOG.warning("Functions run without Qinling's network policy: %s", error)

    def _sweep(self) -> None:
        """Remove pods of image functions whose engine has ended."""
        if time.monotonic() - self._swept < 300 and self._swept:
            return
        self._swept = time.monotonic()
        for pod in self.api.list("pods", objects.selector({objects.KIND: "image"})):
            if state.expired(pod, self._image_lifetime + 60, _now()):
                LOG.warning("Removing pod %s of an image function, left by an engine that ended", state.name(pod))
                self.api.delete("pods", state.name(pod), grace=0)

    @property
    def _image_lifetime(self) -> int:
        return int(IMAGE_START_SECONDS + self.conf.resource_limits.max_timeout + 30)

    # --- pools

    def _pool(self, name: str, image: str, trusted: bool) -> objects.Pool:
        limits = self.conf.resource_limits
        return objects.Pool(
            runtime_id=name,
            image=image,
            replicas=self.conf.kubernetes.replicas,
            requests=objects.Size(limits.min_cpu, limits.min_memory),
            limits=objects.Size(limits.max_cpu, limits.max_memory + objects.RUNTIME_MEMORY),
            progress_seconds=self.conf.kubernetes.pool_timeout,
            trusted=trusted,
            token=True,
            sidecar_image=sidecar_image(self.conf),
        )

    def _pods(self, runtime_id: str) -> list[api.Object]:
        return self.api.list("pods", objects.selector({objects.RUNTIME: objects.dns_label(runtime_id)}))

    def _await_pool(self, name: str, image: str) -> None:
        """Wait until a pool runs the image; raise OrchestratorException with the reason if it does not."""
        deadline = time.monotonic() + self.conf.kubernetes.pool_timeout
        failing_since: float | None = None
        while True:
            failure = None
            try:
                deployment = self.api.get("deployments", name)
                if state.rolled_out(deployment):
                    return
                pods = [pod for pod in self._pods(name) if pod["spec"]["containers"][0]["image"] == image]
                failure = state.pods_failure(pods) or state.deployment_failure(deployment)
                reason = failure.reason if failure else state.unschedulable(pods) or "workers are not ready"
            except api.Unavailable as error:
                reason = str(error)
            now = time.monotonic()
            failing_since = (failing_since or now) if failure else None
            lasting = failing_since is not None and now - failing_since >= FAILURE_SECONDS
            if now >= deadline or lasting or (failure and failure.permanent):
                raise exc.OrchestratorException(f"Pool of runtime {name} with image {image}: {reason}")
            time.sleep(POLL_SECONDS)

    def create_pool(self, name: str, image: str, trusted: bool = True, **_: Any) -> None:
        """Create the pool of a runtime, or update an existing one, and wait until it is ready."""
        with self._checked_names():
            self._prepare()
            deployment = objects.deployment(self._pool(name, image, trusted), self._settings)
        created = True
        try:
            self.api.create("deployments", deployment)
        except api.Conflict:
            LOG.info("Updating the existing pool of runtime %s", name)
            created = False
            spec = {"replicas": deployment["spec"]["replicas"]}
            self.api.patch("deployments", name, {"spec": spec})
            self._replace_template(name, deployment["spec"]["template"])
        try:
            self._await_pool(name, image)
        except exc.OrchestratorException:
            if created:
                # A runtime in error must not run pods, which would try to pull a missing image forever.
                self._try_cleanup(lambda: self.api.delete("deployments", name))
            raise
        LOG.info("Pool of runtime %s is ready", name)

    def delete_pool(self, name: str, **_: Any) -> None:
        """Delete the pool of a runtime with all its workers, including claimed ones."""
        with self._checked_names():
            # The cluster's garbage collection deletes the pods. Deleted here, their replica set, which is collected a
            # little later, would replace them.
            self.api.delete("deployments", objects.dns_label(name))
        LOG.info("Pool of runtime %s deleted", name)

    def _replace_template(self, name: str, template: api.Object) -> None:
        self.api.patch("deployments", name, [{"op": "replace", "path": "/spec/template", "value": template}])

    def update_pool(self, name: str, image: str | None = None, **_: Any) -> bool:
        """Update a runtime's pool to another image; return False if the update failed and was rolled back."""
        previous: api.Object | None = None
        try:
            with self._checked_names():
                self._prepare()
                template = self.api.get("deployments", objects.dns_label(name))["spec"]["template"]
                annotations = template["metadata"].get("annotations") or {}
                trusted = annotations.get("io.kubernetes.cri-o.TrustedSandbox") == "true"
                image = names.image(image or template["spec"]["containers"][0]["image"])
                updated = objects.worker_template(self._pool(name, image, trusted), self._settings)
            previous = template
            self._replace_template(name, updated)
            self._await_pool(name, image)
        except exc.OrchestratorException as error:
            LOG.error("Updating runtime %s failed: %s", name, error)
            if previous is not None:
                LOG.warning("Rolling runtime %s back to its previous revision", name)
                self._try_cleanup(lambda: self._roll_back(name, previous))
            return False
        return True

    def _roll_back(self, name: str, template: api.Object) -> None:
        self._replace_template(name, template)
        self._await_pool(name, template["spec"]["containers"][0]["image"])

    @staticmethod
    def _try_cleanup(action: Callable[[], object]) -> None:
        """Run a clean-up action and log its failure."""
        try:
            action()
        except exc.OrchestratorException as error:
            LOG.error("Cleaning up failed: %s", error)

    def get_pool(self, name: str, **_: Any) -> dict[str, int]:
        """Return the numbers of a runtime's workers and of its free workers."""
        try:
            with self._checked_names():
                deployment = self.api.get("deployments", objects.dns_label(name))
        except api.NotFound as error:
            raise exc.RuntimeNotFoundException() from error
        return state.pool(deployment, self._pods(name))

    # --- workers

    @staticmethod
    @contextlib.contextmanager
    def _checked_names() -> Iterator[None]:
        """Convert InvalidName to OrchestratorException."""
        try:
            yield
        except names.InvalidName as error:
            raise exc.OrchestratorException(str(error)) from error

    def _function_pods(self, function_id: str, version: object) -> list[api.Object]:
        """Return a function version's workers that are not leaving."""
        labels = objects.function_labels(function_id, version)
        pods = self.api.list("pods", objects.selector(labels, present=[objects.RUNTIME]))
        return [pod for pod in pods if not state.leaving(pod)]

    def _claim(self, runtime_id: str, function_id: str, version: object, count: int = 1) -> list[api.Object]:
        """Assign free workers of a pool to a function, waiting for starting ones; raise NoFreeWorker if too few."""
        deadline = time.monotonic() + CLAIM_SECONDS
        claimed: list[api.Object] = []
        while True:
            pods = self._pods(runtime_id)
            waiting = [pod for pod in pods if state.free(pod)]
            usable = [pod for pod in waiting if state.ready(pod)]
            if len(claimed) + len(usable) >= count:
                # Engines claim concurrently; the first patch gets the worker.
                for pod in random.sample(usable, len(usable)):
                    with contextlib.suppress(api.Conflict, api.NotFound):
                        patch = objects.claim(pod, function_id, version)
                        claimed.append(self.api.patch("pods", state.name(pod), patch))
                        LOG.info(
                            "Worker %s now belongs to function %s(version %s)", state.name(pod), function_id, version
                        )
                    if len(claimed) == count:
                        self.forget(function_id, str(version))
                        return claimed
            present = sum(1 for pod in pods if not state.leaving(pod))
            total = max(present, self._replicas(runtime_id))
            starting = any(not state.ready(pod) and not state.pod_failure(pod) for pod in waiting)
            if time.monotonic() >= deadline or not (starting or present < total):
                break
            time.sleep(POLL_SECONDS)
        for pod in claimed:
            self.delete_worker(state.name(pod))
        failure = state.pods_failure(waiting)
        raise reclaim.NoFreeWorker(
            runtime_id, total, present - len(waiting), count, len(usable), failure.reason if failure else ""
        )

    def _replicas(self, runtime_id: str) -> int:
        """Return the configured number of workers of a pool."""
        try:
            return int(self.api.get("deployments", runtime_id)["spec"]["replicas"])
        except api.NotFound as error:
            raise exc.OrchestratorException(f"Runtime {runtime_id} has no pool in Kubernetes") from error

    def choose_worker(self, runtime_id: str, function_id: str, version: str, take_turn: bool = True) -> api.Object:
        """Return the next of a function's ready workers in rotation; claim one if none is ready.

        Raise transport.NotReached while a worker is restarting.
        """
        cached_until, workers = self._workers.get((function_id, version), (0.0, []))
        if time.monotonic() >= cached_until:
            pods = self._function_pods(function_id, version)
            workers = [pod for pod in pods if state.ready(pod)]
            if not workers:
                workers = self._heal(runtime_id, function_id, version)
            self._workers[function_id, version] = (time.monotonic() + WORKERS_SECONDS, workers)
        chosen = workers[self._turn % len(workers)]
        self._turn += int(take_turn)
        return chosen

    def forget(self, function_id: str, version: str) -> None:
        """Drop the cached list of a function's workers and advance the rotation."""
        self._workers.pop((function_id, version), None)
        self._turn += 1

    def _heal(self, runtime_id: str, function_id: str, version: str) -> list[api.Object]:
        """Replace a function's workers, none of which is ready, with a new one, and register it in etcd."""
        with self._registry.get_worker_lock(function_id, version) as lock:
            if not lock.is_acquired():
                raise transport.NotReached(
                    f"another engine is replacing the workers of function {function_id}(version {version})"
                )
            pods = self._function_pods(function_id, version)
            if any(state.ready(pod) for pod in pods):
                return [pod for pod in pods if state.ready(pod)]
            now = _now()
            if any(state.unready_seconds(pod, now) < RESTART_SECONDS and not state.pod_failure(pod) for pod in pods):
                raise transport.NotReached(f"the worker of function {function_id}(version {version}) is restarting")
            LOG.warning("Function %s(version %s) has lost its workers; claiming a new one", function_id, version)
            for pod in pods:
                self.delete_worker(state.name(pod))
            claimed = self._claim(runtime_id, function_id, version)
            for name in self._registry.get_workers(function_id, version):
                self._registry.delete_worker(function_id, name, version=version)
            for pod in claimed:
                self._registry.create_worker(function_id, state.name(pod), version=version)
            return claimed

    def target(self, pod: api.Object, path: str) -> transport.Target:
        """Return the address of a worker, with its token."""
        name, headers = state.name(pod), {TOKEN_HEADER: str(pod["metadata"]["uid"])}
        if self.proxied:
            part = f"{self.api.path('pods', f'{name}:{objects.WORKER_PORT}', 'proxy')}/{path}"
            verify, cert = self._tls
            return transport.Target(self.conf.kubernetes.kube_host.rstrip("/") + part, headers, verify, cert)
        return transport.Target(f"http://{pod['status']['hostIP']}:{self._node_port(pod)}/{path}", headers)

    def _node_port(self, pod: api.Object) -> int:
        name = state.name(pod)
        if name not in self._ports:
            try:
                service = self.api.create("services", objects.service(pod))
            except api.Conflict:
                service = self.api.get("services", objects.service_name(name))
            self._ports[name] = int(service["spec"]["ports"][0]["nodePort"])
        return self._ports[name]

    # --- executions

    def prepare_execution(
        self,
        function_id: str,
        version: int,
        rlimit: Mapping[str, int] | None = None,
        image: str | None = None,
        identifier: str | None = None,
        labels: Mapping[str, str] | None = None,
        input: Any = None,
        **_: Any,
    ) -> tuple[str | None, str | None]:
        """Prepare the execution of a function.

        ``identifier`` is the name of an image function's pod, or the runtime's ID. Return the pod's name and the
        address of the function's workers (None for an image function).
        """
        with self._checked_names():
            if image:
                return self._start_image(function_id, version, rlimit or {}, image, str(identifier), input), None
            runtime_id = objects.dns_label(identifier or (labels or {}).get(objects.RUNTIME))
            pods = self._function_pods(function_id, version) or self._claim(runtime_id, function_id, version)
            return state.name(pods[0]), service_url(runtime_id, function_id, version)

    def _start_image(
        self, function_id: str, version: int, rlimit: Mapping[str, int], image: str, name: str, given: Any
    ) -> str:
        if not rlimit:
            raise exc.OrchestratorException("An image function needs limits for CPU and memory.")
        self._prepare()
        pod = objects.image_pod(
            name,
            image,
            objects.function_labels(function_id, version),
            objects.image_arguments(given),
            objects.Size(rlimit["cpu"], rlimit["memory_size"]),
            self._image_lifetime,
            self._settings,
        )
        self.api.create("pods", pod)
        return name

    def run_execution(
        self,
        execution_id: str,
        function_id: str,
        version: int,
        rlimit: Mapping[str, int] | None = None,
        input: Any = None,
        identifier: str | None = None,
        service_url: str | None = None,
        entry: str = "main.main",
        trust_id: str | None = None,
        timeout: int | None = None,
        **_: Any,
    ) -> tuple[bool, dict[str, Any]]:
        """Execute a function and return (success, result) for Qinling's engine."""
        if service_url:
            data = utils.get_request_data(
                self.conf,
                function_id,
                version,
                execution_id,
                rlimit,
                input,
                entry,
                trust_id,
                self.qinling_endpoint,
                timeout,
            )
            success, result = utils.url_request(self.session, f"{service_url}/execute", body=data)
            return success, result
        name = str(identifier)
        try:
            return self._finish_image(name, timeout or self.conf.resource_limits.max_timeout)
        finally:
            self._try_cleanup(lambda: self.api.delete("pods", name, grace=0))

    def _finish_image(self, name: str, timeout: int) -> tuple[bool, dict[str, Any]]:
        """Wait until an image function ends and return (success, result)."""
        begun = time.monotonic()
        running_since: float | None = None
        failing_since: float | None = None
        while True:
            now = time.monotonic()
            try:
                pod = self.api.get("pods", name)
            except api.NotFound:
                raise failures.PlatformError(reason="its pod was deleted") from None
            except api.Unavailable:
                if now - begun > IMAGE_START_SECONDS + timeout:
                    raise
                time.sleep(POLL_SECONDS)
                continue
            ended = state.ended(pod)
            if ended:
                return self._image_result(name, ended)
            if state.started(pod):
                running_since = running_since or now
                if now - running_since >= timeout:
                    output = {"output": "Function execution timeout.", "duration": timeout}
                    return False, {**output, "logs": self._image_log(name)}
            failure = state.pod_failure(pod)
            failing_since = (failing_since or now) if failure else None
            lasting = failing_since is not None and now - failing_since >= FAILURE_SECONDS
            late = running_since is None and now - begun >= IMAGE_START_SECONDS
            if late or lasting or (failure and failure.permanent):
                reason = failure.reason if failure else state.unschedulable([pod]) or "the image did not start in time"
                return False, {"output": f"Function execution failed: {reason}", "duration": 0}
            time.sleep(min(POLL_SECONDS, 0.1 + (now - begun) / 10))

    def _image_log(self, name: str) -> str:
        try:
            return self.api.log(name, MAX_LOG)
        except exc.OrchestratorException as error:
            LOG.warning("The log of pod %s cannot be read: %s", name, error)
            return ""

    def _image_result(self, name: str, ended: state.Ended) -> tuple[bool, dict[str, Any]]:
        result: dict[str, Any] = {"duration": ended.seconds, "logs": self._image_log(name)}
        if ended.exit_code == 0:
            return True, result
        reason = f" ({ended.reason})" if ended.reason not in ("", "Error") else ""
        result["output"] = f"Function execution failed: exit code {ended.exit_code}{reason}."
        return False, result

    # --- functions

    def scaleup_function(
        self, function_id: str, version: int, identifier: str | None = None, count: int = 1, **_: Any
    ) -> tuple[list[str], str]:
        """Assign more workers to a function and return their names and the function's address.

        The function's own workers that are missing in etcd take precedence over free ones. Too few free workers are an
        error only if the function has no worker at all.
        """
        with self._checked_names():
            runtime_id = objects.dns_label(identifier)
            registered = set(self._registry.get_workers(function_id, version))
            own = self._function_pods(function_id, version)
            pods = [pod for pod in own if state.ready(pod) and state.name(pod) not in registered][:count]
            try:
                if missing := count - len(pods):
                    pods += self._claim(runtime_id, function_id, version, missing)
            except exc.OrchestratorException as error:
                if not own:
                    raise
                LOG.warning("Function %s(version %s) keeps its current workers: %s", function_id, version, error)
        workers = [state.name(pod) for pod in pods]
        LOG.info("Function %s(version %s) has new workers: %s", function_id, version, workers)
        return workers, service_url(runtime_id, function_id, version)

    def holders(self, runtime_id: str) -> set[reclaim.FunctionVersion]:
        """Return the function versions that have workers of a runtime."""
        with self._checked_names():
            pods = [pod for pod in self._pods(runtime_id) if not state.leaving(pod)]
        return {
            (labels[objects.FUNCTION], int(labels[objects.VERSION]))
            for labels in map(state.labels, pods)
            if objects.FUNCTION in labels
        }

    def delete_function(
        self, function_id: str, version: int, labels: Mapping[str, str] | None = None, **_: Any
    ) -> None:
        """Delete a function version's workers; their pools replace them."""
        with self._checked_names():
            mine = objects.function_labels(function_id, version)
        self.api.delete_all("pods", objects.selector(mine))
        self.forget(function_id, str(version))

    def delete_worker(self, worker_name: str, **_: Any) -> None:
        """Delete one worker; its pool replaces it."""
        with self._checked_names():
            self.api.delete("pods", objects.dns_label(worker_name))
        self._ports.pop(worker_name, None)
        self._workers.clear()
