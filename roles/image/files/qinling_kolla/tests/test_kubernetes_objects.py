# SPDX-License-Identifier: Apache-2.0
"""The objects of the Kubernetes driver, without a cluster."""

import json
from typing import Any

import pytest

from qinling_kolla.orchestrator import kubernetes_objects as objects
from qinling_kolla.orchestrator import names

RUNTIME = "0f4a9a1e-3d0e-4c39-8d55-0c4e6cf13f8e"
FUNCTION = "7b9f8e62-6a1c-4c6f-8f5b-7d3b64b9f0aa"
SIZE = objects.Size(100, 33554432)


def pool(**changes: Any) -> Any:
    values = {
        "runtime_id": RUNTIME,
        "image": "registry:5000/python:3",
        "replicas": 3,
        "requests": SIZE,
        "limits": objects.Size(300, 134217728),
        "progress_seconds": 600,
    }
    return objects.Pool(**{**values, **changes})


def image_pod(settings: Any = None, arguments: Any = (), image: str = "busybox:1") -> Any:
    labels = objects.function_labels(FUNCTION, 0)
    return objects.image_pod("e-f", image, labels, arguments, SIZE, 450, settings or objects.PodSettings())


@pytest.mark.parametrize("kind", ["worker", "image"])
@pytest.mark.parametrize("field", [True, False])
def test_every_pod_is_confined(kind: str, field: bool) -> None:
    settings = objects.PodSettings(run_as_user=1234, image_pull_secrets=["registry"], seccomp_field=field)
    pod = objects.worker_template(pool(), settings) if kind == "worker" else image_pod(settings)
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    security = {"runAsNonRoot": True, "runAsUser": 1234, "runAsGroup": 1234, "fsGroup": 1234}
    annotation = pod["metadata"]["annotations"].get("seccomp.security.alpha.kubernetes.io/pod")
    if field:
        assert spec["securityContext"] == {**security, "seccompProfile": {"type": "RuntimeDefault"}}
        assert annotation is None
    else:
        assert spec["securityContext"] == security
        assert annotation == "runtime/default"
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert all(set(volume) == {"name", "emptyDir"} for volume in spec["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)


def test_pool() -> None:
    result = objects.deployment(pool(), objects.PodSettings())
    assert result["apiVersion"] == "apps/v1"
    assert result["metadata"] == {"name": RUNTIME, "labels": {"runtime_id": RUNTIME}}
    spec = result["spec"]
    assert (spec["replicas"], spec["selector"]) == (3, {"matchLabels": {"runtime_id": RUNTIME}})
    assert spec["template"]["metadata"]["labels"]["runtime_id"] == RUNTIME
    (worker,) = spec["template"]["spec"]["containers"]
    assert worker["resources"] == {
        "requests": {"cpu": "100m", "memory": "33554432"},
        "limits": {"cpu": "300m", "memory": "134217728"},
    }
    assert {mount["mountPath"] for mount in worker["volumeMounts"]} == {"/var/qinling/packages", "/tmp"}
    assert worker["env"][0]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({}, ["registry:5000/python:3"]),
        ({"sidecar_image": "sidecar:0.0.2"}, ["registry:5000/python:3", "sidecar:0.0.2"]),
    ],
)
def test_sidecar_only_if_configured(changes: dict[str, Any], images: list[str]) -> None:
    template = objects.worker_template(pool(**changes), objects.PodSettings())
    assert [container["image"] for container in template["spec"]["containers"]] == images


INJECTIONS = [
    "x\n      securityContext:\n        privileged: true",
    'x", "securityContext": {"privileged": true}, "y": "',
    "x:1\nhostNetwork: true",
    "{{ lookup('env', 'HOME') }}",
    "x #",
    "",
    None,
    ["busybox"],
]


@pytest.mark.parametrize("image", INJECTIONS)
@pytest.mark.parametrize(
    "build",
    [
        lambda image: objects.deployment(pool(image=image), objects.PodSettings()),
        lambda image: image_pod(image=image),
    ],
)
def test_invalid_image_names_are_refused(build: Any, image: Any) -> None:
    with pytest.raises(names.InvalidName):
        build(image)


@pytest.mark.parametrize("image", [image for image in INJECTIONS if image])
def test_sidecar_image_name_is_checked(image: Any) -> None:
    with pytest.raises(names.InvalidName):
        objects.worker_template(pool(sidecar_image=image), objects.PodSettings())


@pytest.mark.parametrize("name", ["A", "a.b", "a/b", "a" * 64, "-a", "a-", "", None, "a\n", "a,b=c", "é"])
def test_object_names_are_checked(name: str | None) -> None:
    with pytest.raises(names.InvalidName):
        objects.dns_label(name)


def test_labels_of_a_selector_cannot_be_widened() -> None:
    with pytest.raises(names.InvalidName):
        objects.function_labels("x,runtime_id", 0)


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        (None, []),
        ("", []),
        ({}, []),
        ({"__function_input": "several  words"}, ["several", "words"]),
        ({"__function_input": ""}, []),
        (["a", "b c", 1, None, {"k": [1]}], ["a", "b c", "1", "null", '{"k": [1]}']),
        ('["a", "b"]', ["a", "b"]),
        ('"text"', ["text"]),
        ("plain words", ["plain", "words"]),
        ({"name": "value"}, ['{"name": "value"}']),
        (0, ["0"]),
        (True, ["true"]),
    ],
)
def test_arguments_of_an_image_function(given: Any, arguments: list[Any]) -> None:
    assert objects.image_arguments(given) == arguments


def test_image_pod() -> None:
    pod = image_pod(arguments=['"]\nprivileged: true', "$(PATH)", "$$"])
    (container,) = pod["spec"]["containers"]
    # Kubernetes reads $$ as a literal $.
    assert container["args"] == ['"]\nprivileged: true', "$$(PATH)", "$$$$"]
    assert container["resources"]["limits"] == container["resources"]["requests"] == SIZE.quantities()
    assert (pod["spec"]["restartPolicy"], pod["spec"]["activeDeadlineSeconds"]) == ("Never", 450)
    assert pod["metadata"]["labels"] == {"function_id": FUNCTION, "function_version": "0", "qinling_kind": "image"}
    assert "resources" not in pod["spec"]
    assert "args" not in image_pod()["spec"]["containers"][0]


def worker(**labels: Any) -> dict[str, Any]:
    metadata = {"name": f"{RUNTIME}-5d4b5c6f7-x2x4x", "uid": "u-1", "resourceVersion": "41"}
    return {"metadata": {**metadata, "labels": {"runtime_id": RUNTIME, "pod-template-hash": "5d4b5c6f7", **labels}}}


def test_claim_requires_an_unchanged_pod() -> None:
    pod = worker()
    assert objects.claim(pod, FUNCTION, 2) == {
        "metadata": {
            "resourceVersion": "41",
            "labels": {"function_id": FUNCTION, "function_version": "2", "qinling_worker": pod["metadata"]["name"]},
        }
    }


def test_service_selects_one_pod_and_is_owned_by_it() -> None:
    pod = worker(function_id=FUNCTION, function_version="2")
    result = objects.service(pod)
    name = pod["metadata"]["name"]
    assert result["spec"]["selector"] == {"qinling_worker": name}
    assert result["spec"]["type"] == "NodePort"
    assert result["metadata"]["name"] == f"w-{name}"
    assert result["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u-1"}]


def egress(*arguments: Any) -> Any:
    return objects.network_policy(*arguments)["spec"]["egress"]


def test_policy_allows_the_api_and_the_internet_but_not_the_cluster() -> None:
    dns, api, world = egress(["192.0.2.7"], 7070, ["10.1.0.0/16"], ["10.0.0.0/8", "169.254.0.0/16"], ["192.0.2.9"])
    assert {port["port"] for port in dns["ports"]} == {53}
    assert api == {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"protocol": "TCP", "port": 7070}]}
    assert world["to"] == [
        {"ipBlock": {"cidr": "10.1.0.0/16"}},
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16", "192.0.2.9/32"]}},
    ]


@pytest.mark.parametrize(
    ("denied", "blocks"),
    [
        ([], [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}]),
        (["0.0.0.0/0"], []),
        (["fc00::/7"], [{"cidr": "::/0", "except": ["fc00::/7"]}]),
        (["10.0.0.1/8"], [{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}]),
    ],
)
def test_policy_of_denied_networks(denied: list[Any], blocks: list[Any]) -> None:
    rest = egress([], 7070, [], denied)[1:]
    assert [block["ipBlock"] for rule in rest for block in rule["to"]] == blocks


def test_policy_allows_only_ingress_to_the_worker_port() -> None:
    policy = objects.network_policy([], 7070)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": 9090}]}]
    assert policy["apiVersion"] == "networking.k8s.io/v1"


@pytest.mark.parametrize(
    ("url", "port"), [("http://h:7070", 7070), ("https://h/x", 443), ("http://h", 80), ("http://[::1]:7", 7)]
)
def test_endpoint_port(url: str, port: int) -> None:
    assert objects.endpoint_port(url) == port


def test_selector() -> None:
    assert objects.selector({"a": "1", "b": "2"}, present=["c"], absent=["d"]) == "a=1,b=2,c,!d"


def test_everything_is_data() -> None:
    result = [
        objects.deployment(pool(sidecar_image="s:1"), objects.PodSettings()),
        image_pod(arguments=["a"]),
        objects.namespace("qinling"),
        objects.network_policy(["192.0.2.7"], 7070, [], ["10.0.0.0/8"]),
    ]
    assert json.loads(json.dumps(result)) == result
