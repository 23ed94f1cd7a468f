# SPDX-License-Identifier: Apache-2.0
"""The objects of the Kubernetes driver, built as data from validated names: no user input is inserted into YAML.

Only apps/v1 and networking.k8s.io/v1 are used, which Kubernetes 1.16 and later accept. For the fields see
https://kubernetes.io/docs/reference/kubernetes-api/.
"""

import dataclasses
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from qinling_kolla.orchestrator import names

Object = dict[str, Any]

# Labels of Qinling's own driver: pods of a pool have the first, workers of a function all three.
RUNTIME = "runtime_id"
FUNCTION = "function_id"
VERSION = "function_version"
# Labels of this driver: KIND distinguishes image functions from workers, WORKER selects the pod of a service.
KIND = "qinling_kind"
WORKER = "qinling_worker"

WORKER_PORT = 9090
SIDECAR_PORT = 9091
POLICY_NAME = "qinling-functions"
# Memory of the runtime itself, in bytes.
RUNTIME_MEMORY = 64 * 1024 * 1024
SCRATCH_LIMIT = "512Mi"
GRACE_SECONDS = 5
# The address of NodeLocal DNSCache on every node.
NODE_DNS = "169.254.20.10/32"

_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class PodSettings:
    """Settings of all pods, from qinling.conf and the server's version."""

    run_as_user: int = 1000
    image_pull_secrets: Sequence[str] = ()
    # False for servers older than 1.19, which use an annotation instead of the field.
    seccomp_field: bool = True


@dataclasses.dataclass(frozen=True)
class Size:
    """CPU in thousandths of a core and memory in bytes."""

    cpu: int
    memory: int

    def quantities(self) -> Object:
        """Return the size as Kubernetes quantities."""
        return {"cpu": f"{self.cpu}m", "memory": str(self.memory)}


@dataclasses.dataclass(frozen=True)
class Pool:
    """The pool of a runtime's workers."""

    runtime_id: str
    image: str
    replicas: int
    requests: Size
    limits: Size
    progress_seconds: int
    trusted: bool = True
    # Whether a worker requires a token (its pod's UID, which only users of the API can read).
    token: bool = True
    sidecar_image: str = ""


def dns_label(value: object) -> str:
    """Return ``value`` if it can name an object (RFC 1123 label), else raise InvalidName."""
    if isinstance(value, str) and _DNS_LABEL.fullmatch(value):
        return value
    raise names.InvalidName(f"Invalid name {value!r:.80}: expected at most 63 lower-case letters, digits and dashes.")


def selector(equal: Mapping[str, str], present: Iterable[str] = (), absent: Iterable[str] = ()) -> str:
    """Return a label selector for labels with a value, present labels and absent labels."""
    return ",".join([*(f"{key}={value}" for key, value in equal.items()), *present, *(f"!{key}" for key in absent)])


def function_labels(function_id: str, version: object) -> dict[str, str]:
    """Return the labels of a function version's pods."""
    return {FUNCTION: dns_label(function_id), VERSION: dns_label(str(version))}


def _security(settings: PodSettings) -> tuple[Object, Object, dict[str, str]]:
    """Return the security contexts of a pod and its containers, and the pod's security annotations."""
    pod: Object = {
        "runAsNonRoot": True,
        "runAsUser": settings.run_as_user,
        "runAsGroup": settings.run_as_user,
        "fsGroup": settings.run_as_user,
    }
    container: Object = {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }
    if settings.seccomp_field:
        pod["seccompProfile"] = {"type": "RuntimeDefault"}
        return pod, container, {}
    return pod, container, {"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"}


def _pod_spec(settings: PodSettings, containers: list[Object], volumes: Mapping[str, str]) -> Object:
    """Return a pod's spec whose containers mount ``volumes`` ({name: path}) as empty directories."""
    security, container_security, _unused = _security(settings)
    mounts = [{"name": name, "mountPath": path} for name, path in volumes.items()]
    spec: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security,
        "volumes": [{"name": name, "emptyDir": {"sizeLimit": SCRATCH_LIMIT}} for name in volumes],
        "containers": [
            {
                "imagePullPolicy": "IfNotPresent",
                **container,
                "securityContext": container_security,
                "volumeMounts": mounts,
            }
            for container in containers
        ],
    }
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": dns_label(name)} for name in settings.image_pull_secrets]
    return spec


def worker_template(pool: Pool, settings: PodSettings) -> Object:
    """Return the template of a pool's pods."""
    worker: Object = {
        "name": "worker",
        "image": names.image(pool.image),
        "ports": [{"containerPort": WORKER_PORT}],
        "resources": {"requests": pool.requests.quantities(), "limits": pool.limits.quantities()},
        "readinessProbe": {
            "tcpSocket": {"port": WORKER_PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 5,
        },
    }
    if pool.token:
        worker["env"] = [{"name": "QINLING_WORKER_TOKEN", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]
    containers = [worker]
    if pool.sidecar_image:
        containers.append(
            {
                "name": "sidecar",
                "image": names.image(pool.sidecar_image),
                "ports": [{"containerPort": SIDECAR_PORT}],
                "resources": {"requests": pool.requests.quantities(), "limits": pool.limits.quantities()},
            }
        )
    _unused, _unused, annotations = _security(settings)
    annotations["io.kubernetes.cri-o.TrustedSandbox"] = str(bool(pool.trusted)).lower()
    return {
        "metadata": {"labels": {RUNTIME: dns_label(pool.runtime_id), KIND: "worker"}, "annotations": annotations},
        "spec": _pod_spec(settings, containers, {"packages": "/var/qinling/packages", "scratch": "/tmp"}),
    }


def deployment(pool: Pool, settings: PodSettings) -> Object:
    """Return the deployment of a runtime's pool."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": dns_label(pool.runtime_id), "labels": {RUNTIME: pool.runtime_id}},
        "spec": {
            "replicas": pool.replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": pool.progress_seconds,
            "selector": {"matchLabels": {RUNTIME: pool.runtime_id}},
            # The pool stays complete until the new image is proven to run.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": worker_template(pool, settings),
        },
    }


def image_arguments(given: Any) -> list[str]:
    """Return the arguments of an image function's container, from an execution's input as Qinling interprets it.

    Qinling passes JSON as its value and other text as {"__function_input": text}. The arguments are the words of the
    text, the items of a list, or any other value as JSON.
    """
    if given in (None, "", {}, []):
        return []
    if isinstance(given, Mapping) and "__function_input" in given:
        return str(given["__function_input"]).split()
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return given.split()
    if isinstance(given, list):
        return [item if isinstance(item, str) else json.dumps(item) for item in given]
    return [given if isinstance(given, str) else json.dumps(given)]


def image_pod(
    name: str,
    image: str,
    labels: Mapping[str, str],
    arguments: Sequence[str],
    size: Size,
    lifetime: int,
    settings: PodSettings,
) -> Object:
    """Return the pod of one execution of an image function; the cluster ends it after ``lifetime`` seconds."""
    container: Object = {
        "name": "function",
        "image": names.image(image),
        "resources": {"requests": size.quantities(), "limits": size.quantities()},
    }
    if arguments:
        # Kubernetes expands $(NAME) in arguments; $$ is a literal $.
        container["args"] = [argument.replace("$", "$$") for argument in arguments]
    _unused, _unused, annotations = _security(settings)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": dns_label(name),
            "labels": {**labels, KIND: "image"},
            "annotations": {**annotations, "io.kubernetes.cri-o.TrustedSandbox": "false"},
        },
        "spec": {
            **_pod_spec(settings, [container], {"scratch": "/tmp"}),
            "restartPolicy": "Never",
            "activeDeadlineSeconds": lifetime,
        },
    }


def service_name(pod_name: str) -> str:
    """Return the name of the node port service of a pod; names of services must start with a letter."""
    return dns_label(f"w-{pod_name}")


def service(pod: Mapping[str, Any]) -> Object:
    """Return the node port service of a worker, which is deleted with the worker."""
    name = pod["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service_name(name),
            "labels": {key: pod["metadata"]["labels"][key] for key in (RUNTIME, FUNCTION, VERSION)},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}],
        },
        "spec": {
            "type": "NodePort",
            "selector": {WORKER: name},
            "ports": [{"protocol": "TCP", "port": WORKER_PORT, "targetPort": WORKER_PORT}],
        },
    }


def claim(pod: Mapping[str, Any], function_id: str, version: object) -> Object:
    """Return the patch that assigns a pod to a function, if the pod is unchanged since it was read."""
    labels: Object = {**function_labels(function_id, version), WORKER: pod["metadata"]["name"]}
    return {"metadata": {"resourceVersion": pod["metadata"]["resourceVersion"], "labels": labels}}


def namespace(name: str) -> Object:
    """Return the namespace of all the driver's objects."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": dns_label(name),
            # Pod security admission, if available, enforces what this driver sets in its own pods.
            "labels": {"name": name, "pod-security.kubernetes.io/enforce": "restricted"},
        },
    }


def endpoint_port(url: str) -> int:
    """Return the port of an http or https URL."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _open_blocks(denied: Iterable[str]) -> list[Object]:
    """Return blocks of all addresses except the ``denied`` networks.

    An IP version without denied networks stays closed, unless ``denied`` is empty: then everything is open.
    """
    networks = [ipaddress.ip_network(text, strict=False) for text in denied]
    blocks: list[Object] = []
    for everything in map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")):
        excepted = sorted({str(network) for network in networks if network.version == everything.version})
        if not networks:
            blocks.append({"ipBlock": {"cidr": str(everything)}})
        elif excepted and str(everything) not in excepted:
            blocks.append({"ipBlock": {"cidr": str(everything), "except": excepted}})
    return blocks


def network_policy(
    api_addresses: Iterable[str],
    api_port: int,
    allowed: Iterable[str] = (),
    denied: Iterable[str] = (),
    hidden: Iterable[str] = (),
) -> Object:
    """Return the network policy of all functions.

    Egress: DNS, Qinling's API, ``allowed`` networks, and all addresses except ``denied`` networks and ``hidden``
    addresses (the Kubernetes API). Ingress: only the worker's port; the worker refuses requests without its token.
    """
    denied = list(denied)
    egress: list[Object] = [
        {
            "to": [
                {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}},
                {"ipBlock": {"cidr": NODE_DNS}},
            ],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
        }
    ]
    hosts = [{"ipBlock": {"cidr": str(ipaddress.ip_network(address))}} for address in sorted(set(api_addresses))]
    if hosts:
        egress.append({"to": hosts, "ports": [{"protocol": "TCP", "port": api_port}]})
    elsewhere = [{"ipBlock": {"cidr": str(ipaddress.ip_network(text, strict=False))}} for text in allowed]
    elsewhere += _open_blocks([*denied, *hidden] if denied else [])
    if elsewhere:
        egress.append({"to": elsewhere})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": POLICY_NAME},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": WORKER_PORT}]}],
            "egress": egress,
        },
    }
