# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Functions over Kolla's service dictionaries (`<project>_services`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.qinling.kolla.plugins.module_utils._docker import container_spec

Services = Mapping[str, Mapping[str, Any]]


def services_of_host(services: Services, group_names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the services that are enabled and whose group is among a host's `group_names`."""
    groups = set(group_names)
    return {
        name: service
        for name, service in services.items()
        if boolean(service.get("enabled", True)) and service["group"] in groups
    }


def first_host(services: Services, groups: Mapping[str, list[str]], play_hosts: Iterable[str]) -> str:
    """Return the first host of the play with a service, or an empty string.

    The first service with a host decides. Hosts are in the order of the play, so that the host is in the first batch.
    """
    candidates = list(play_hosts)
    for service in services.values():
        members = groups.get(service["group"], [])
        for host in candidates:
            if host in members:
                return host
    return ""


def named_volumes(services: Services) -> list[str]:
    """Return the names of Docker volumes (not host paths) that the services mount, sorted."""
    sources = (
        volume.split(":", 1)[0] for service in services.values() for volume in service.get("volumes", []) if volume
    )
    return sorted({source for source in sources if source and not source.startswith("/")})


def config_json(service: Mapping[str, Any], files: Iterable[Mapping[str, Any]], directory: str) -> dict[str, Any]:
    """Return the content of a container's config.json for Kolla's kolla_set_configs.

    A file with the key `container` (`{path, owner, perm}`) is copied into the container. The service has `command` and,
    optionally, `permissions` (a list of `{path, owner, recurse}`).
    """
    copied = [
        {
            "source": f"{directory}/{file['dest']}",
            "dest": file["container"]["path"],
            "owner": file["container"].get("owner", "root"),
            "perm": file["container"].get("perm", "0600"),
        }
        for file in files
        if "container" in file
    ]
    content: dict[str, Any] = {"command": service["command"], "config_files": copied}
    if service.get("permissions"):
        content["permissions"] = list(service["permissions"])
    return content


def own_volumes(services: Services) -> list[str]:
    """Return the names of Docker volumes that services mount, without those of `extra_volumes`, sorted."""
    return named_volumes(
        {
            name: {
                "volumes": [
                    volume
                    for volume in service.get("volumes", [])
                    if volume not in (service.get("extra_volumes") or [])
                ]
            }
            for name, service in services.items()
        }
    )


def networks_of(services: Services) -> list[str]:
    """Return the names of the user-defined networks of services, sorted."""
    return sorted({network["name"] for service in services.values() for network in service.get("networks") or []})


def files_of(
    local: Services, files: Mapping[str, list[dict[str, Any]]], directory: str, role: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the files of services `local`, by service, in the format of `rendering.render_services`.

    `files` are those of a project's definition. An entry's key `container` becomes an entry of the container's
    config.json, which is added as another file; `oslo` is for `validation_of`. `directory` is the path of the files in
    the container (`container_config_directory`), `role` the directory of the project's role, to which the paths of
    templates and copies are relative.
    """
    return {
        name: [
            {"dest": "config.json", "json": config_json(service, files.get(name, []), directory)},
            *(
                {key: value for key, value in in_role(file, role).items() if key not in {"container", "oslo"}}
                for file in files.get(name, [])
            ),
        ]
        for name, service in local.items()
    }


def validation_of(local: Services, files: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the files of services `local` with options of oslo.config (`oslo` is true) for `option_findings`.

    Each service has its image, its container, and the paths that only the container provides (`provided`).
    """
    oslo_files = {name: [file["dest"] for file in files.get(name, []) if file.get("oslo")] for name in local}
    return {
        name: {
            "image": local[name]["image"],
            "container": local[name]["container_name"],
            "files": paths,
            "provided": provided_paths(local[name], files.get(name, [])),
        }
        for name, paths in oslo_files.items()
        if paths
    }


def provided_paths(service: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths in a service's container that its volumes and its `files` provide."""
    mounted = [volume.split(":")[1] for volume in service.get("volumes", []) if volume.count(":")]
    return sorted({*mounted, *(file["container"]["path"] for file in files if "container" in file)})


def in_role(file: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return a file's entry with paths relative to the role's templates and files made absolute."""

    def absolute(paths: Any, folder: str) -> list[str]:
        return [str(Path(role, folder, path)) for path in ([paths] if isinstance(paths, str) else paths)]

    found = dict(file)
    if "template" in file:
        found["template"] = absolute(file["template"], "templates")
    if "template" in (file.get("ini") or {}):
        found["ini"] = {**file["ini"], "template": absolute(file["ini"]["template"], "templates")}
    if "copy" in file:
        found["copy"] = absolute(file["copy"], "files")
    return found


def health_checks_of(services: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the containers, health checks and log files of services for `qinling.kolla.container_health`."""
    return [
        {
            "name": service["container_name"],
            "test": container_spec.healthcheck_of(service["healthcheck"])["Test"],
            "log_file": service.get("log_file", ""),
        }
        for service in services
    ]


def containers_of(services: Services) -> list[dict[str, str]]:
    """Return services and their containers for `qinling.kolla.service_backup`."""
    return [{"service": name, "container": str(service["container_name"])} for name, service in services.items()]


def rollback_facts(services: Services, project: str) -> dict[str, dict[str, str]]:
    """Return the facts by service that a rollback needs where the project's variables are not available."""
    return {
        name: {"project": project, "container_name": str(service["container_name"])}
        for name, service in services.items()
    }


def rollback_text(
    host: str, rollbacks: Iterable[Mapping[str, list[str]]], containers: Iterable[Mapping[str, str]]
) -> str:
    """Return a message with a host's state after a rollback.

    `rollbacks` are the results of `qinling.kolla.service_backup`; `containers` are the restored containers from
    `qinling.kolla.container_health`.
    """
    results = list(rollbacks)
    lines = [f"- {container['name']}, image {container['image']}: {container['status']}" for container in containers]
    lines += [f"- {name}: removed, as it was not running before" for result in results for name in result["removed"]]
    left = [
        f"- {name}: left for inspection, as none was running before" for result in results for name in result["left"]
    ]
    if left:
        return "\n".join([f"{host} has the new configuration, as it had no working one before:", *left, *lines])
    state = "and its previous containers:" if lines else "and no container was replaced."
    return "\n".join([f"{host} has its previous configuration, {state}", *lines])
