# SPDX-License-Identifier: Apache-2.0
"""The manifest of Qinling's permissions, adapted to namespaces and users, and as access reviews."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.filter.kubernetes import FilterModule
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.rbac import Manifest, ManifestError, describe

SHIPPED = (Path(__file__).resolve().parents[3] / "roles/qinling/files/kubernetes-rbac.yml").read_text()
SMALL = """
apiVersion: v1
kind: Namespace
metadata: {name: old, labels: {name: old, team: old-timers}}
---
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: old, namespace: old}
rules:
- {apiGroups: [""], resources: [namespaces], resourceNames: [old], verbs: [get]}
- {apiGroups: [""], resources: [secrets], resourceNames: [old], verbs: [get]}
- {apiGroups: ["", apps], resources: [pods/log], verbs: [get, list]}
- {apiGroups: [""], resources: [pods/log], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: wide}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: old, namespace: old}
roleRef: {kind: Role, name: old}
subjects: [{kind: User, name: old}, {kind: Group, name: old}]
"""


def test_objects_are_adapted_to_namespace_and_user() -> None:
    space, role, wide, binding = Manifest.load(SMALL, "new").for_user("somebody")
    assert space["metadata"] == {"name": "new", "labels": {"name": "new", "team": "old-timers"}}
    assert role["metadata"] == {"name": "old", "namespace": "new"}
    # The rule about the namespace is adapted, another object of that name is not.
    assert [rule.get("resourceNames") for rule in role["rules"]] == [["new"], ["old"], None, None]
    assert wide["metadata"] == {"name": "wide"}
    assert binding["metadata"]["namespace"] == "new"
    assert [subject["name"] for subject in binding["subjects"]] == ["somebody", "old"]


def test_each_permission_is_listed_once() -> None:
    assert Manifest.load(SMALL, "new").access() == [
        {"namespace": "new", "verb": "get", "resource": "namespaces", "name": "new"},
        {"namespace": "new", "verb": "get", "resource": "secrets", "name": "old"},
        {"namespace": "new", "verb": "get", "resource": "pods", "subresource": "log"},
        {"namespace": "new", "verb": "list", "resource": "pods", "subresource": "log"},
        {"namespace": "new", "verb": "get", "group": "apps", "resource": "pods", "subresource": "log"},
        {"namespace": "new", "verb": "list", "group": "apps", "resource": "pods", "subresource": "log"},
        {"verb": "list", "resource": "nodes"},
    ]


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"namespace": "q", "verb": "get", "resource": "pods", "subresource": "log"}, "get pods/log in namespace q"),
        (
            {"namespace": "q", "verb": "create", "group": "apps", "resource": "deployments"},
            "create deployments.apps in namespace q",
        ),
        ({"namespace": "q", "verb": "get", "resource": "namespaces", "name": "q"}, 'get namespaces "q" in namespace q'),
        ({"verb": "list", "resource": "nodes"}, "list nodes in the whole cluster"),
    ],
)
def test_permission_is_described(attributes: dict[str, str], text: str) -> None:
    assert describe(attributes) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no Kubernetes objects"),
        ("- a list", "contains no Kubernetes objects"),
        ("kind: Role", "contains no Kubernetes objects"),
        ("kind: {", "is not YAML"),
    ],
)
def test_invalid_manifest_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.load(text, "q")


def test_shipped_manifest_has_least_privileges() -> None:
    manifest = Manifest.load(SHIPPED, "functions")
    access = manifest.access()
    assert {attributes.get("namespace") for attributes in access} == {"functions"}
    assert all("*" not in attributes.values() for attributes in access)
    assert {attributes["resource"] for attributes in access}.isdisjoint(
        {"secrets", "roles", "rolebindings", "serviceaccounts"}
    )
    assert {"namespace": "functions", "verb": "get", "resource": "namespaces", "name": "functions"} in access
    assert {item["kind"] for item in manifest.objects} == {"Namespace", "Role", "RoleBinding"}


def test_rendered_manifest_equals_the_filter_result() -> None:
    manifest = Manifest.load(SHIPPED, "functions")
    objects = FilterModule().filters()["rbac_objects"](SHIPPED, "functions", "me")
    assert list(yaml.safe_load_all(manifest.render("me"))) == objects
    assert objects[-1]["subjects"][0]["name"] == "me"
