# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""The manifest of Qinling's permissions in Kubernetes: adapted to a namespace and user, and as access reviews."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_CLUSTER_WIDE = frozenset({"Namespace", "ClusterRole", "ClusterRoleBinding"})


class ManifestError(ValueError):
    """The manifest is invalid."""


@dataclass(frozen=True)
class Manifest:
    """A manifest's objects (Namespace, roles and bindings, also cluster-wide) and their desired namespace."""

    objects: tuple[Mapping[str, Any], ...]
    namespace: str

    @classmethod
    def load(cls, text: str, namespace: str) -> Manifest:
        """Return the manifest from YAML. Raise ManifestError if it is invalid."""
        try:
            objects = tuple(item for item in yaml.safe_load_all(text) if item)
        except yaml.YAMLError as error:
            raise ManifestError(f"is not YAML: {error}") from error
        if not objects or not all(
            isinstance(item, Mapping) and item.get("kind") and item.get("metadata") for item in objects
        ):
            raise ManifestError("contains no Kubernetes objects")
        return cls(objects, namespace)

    def for_user(self, user: str) -> list[dict[str, Any]]:
        """Return the objects for a user and the desired namespace."""
        return [self._adapted(item, user) for item in self.objects]

    def render(self, user: str) -> str:
        """Return the objects for a user as YAML."""
        return str(yaml.safe_dump_all(self.for_user(user), sort_keys=False, default_flow_style=None, width=120)).strip()

    def access(self) -> list[dict[str, str]]:
        """Return every single permission as the resourceAttributes of a SelfSubjectAccessReview, each once."""
        found = [
            attributes
            for item in self.for_user("")
            if item["kind"] in {"Role", "ClusterRole"}
            for rule in item.get("rules") or []
            for attributes in _single(rule, "" if item["kind"] == "ClusterRole" else self.namespace)
        ]
        return [dict(pairs) for pairs in dict.fromkeys(tuple(attributes.items()) for attributes in found)]

    def _adapted(self, item: Mapping[str, Any], user: str) -> dict[str, Any]:
        adapted = copy.deepcopy(dict(item))
        original = self._namespace_of_manifest()
        if adapted["kind"] == "Namespace":
            adapted["metadata"]["name"] = self.namespace
            labels = adapted["metadata"].get("labels") or {}
            labels.update({key: self.namespace for key, value in labels.items() if value == original})
        elif adapted["kind"] not in _CLUSTER_WIDE:
            adapted["metadata"]["namespace"] = self.namespace
        for rule in adapted.get("rules") or []:
            # A rule about the namespace itself refers to it by name.
            if "namespaces" in rule.get("resources", []) and rule.get("resourceNames"):
                rule["resourceNames"] = [self.namespace if name == original else name for name in rule["resourceNames"]]
        for subject in adapted.get("subjects") or []:
            if subject.get("kind") == "User":
                subject["name"] = user
        return adapted

    def _namespace_of_manifest(self) -> str:
        names = [str(item["metadata"]["name"]) for item in self.objects if item["kind"] == "Namespace"]
        return names[0] if names else self.namespace


def _single(rule: Mapping[str, Any], namespace: str) -> Iterator[dict[str, str]]:
    for group in rule.get("apiGroups") or [""]:
        for resource in rule.get("resources") or []:
            name_of, _slash, subresource = str(resource).partition("/")
            for verb in rule.get("verbs") or []:
                for name in rule.get("resourceNames") or [""]:
                    attributes = {
                        "namespace": namespace,
                        "verb": str(verb),
                        "group": str(group),
                        "resource": name_of,
                        "subresource": subresource,
                        "name": str(name),
                    }
                    yield {key: value for key, value in attributes.items() if value}


def describe(attributes: Mapping[str, str]) -> str:
    """Return the resourceAttributes of a review as text such as `get pods/log in namespace qinling`."""
    resource = attributes["resource"] + (f".{attributes['group']}" if attributes.get("group") else "")
    if attributes.get("subresource"):
        resource += f"/{attributes['subresource']}"
    name = f' "{attributes["name"]}"' if attributes.get("name") else ""
    where = f" in namespace {attributes['namespace']}" if attributes.get("namespace") else " in the whole cluster"
    return f"{attributes['verb']} {resource}{name}{where}"
