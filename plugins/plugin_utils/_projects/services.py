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
    """Return the first host of the play that holds a service, or an empty string.

    The services are taken in their own order, so that the first one decides; the hosts in the play's, so that it is in
    the first of several batches.
    """
    playing = list(play_hosts)
    for service in services.values():
        holding = groups.get(service["group"], [])
        for host in playing:
            if host in holding:
                return host
    return ""


def named_volumes(services: Services) -> list[str]:
    """Return the names of Docker volumes (not host paths) that the services mount, sorted."""
    sources = (
        volume.split(":", 1)[0] for service in services.values() for volume in service.get("volumes", []) if volume
    )
    return sorted({source for source in sources if source and not source.startswith("/")})


def config_json(service: Mapping[str, Any], files: Iterable[Mapping[str, Any]], directory: str) -> dict[str, Any]:
    """Return the content of a container's config.json, as kolla_set_configs of the `kolla` package reads it.

    A file is copied into the container where it has a `container` key: `{path, owner, perm}`. The service gives
    `command` and, optionally, `permissions` (a list of `{path, owner, recurse}`).
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
    """Return the names of Docker volumes that services mount whatever their `extra_volumes` add, sorted."""
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
    """Return the names of the networks that services are attached to, besides Docker's own, sorted."""
    return sorted({network["name"] for service in services.values() for network in service.get("networks") or []})


def files_of(
    local: Services, files: Mapping[str, list[dict[str, Any]]], directory: str, role: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the files of services `local`, by service, as `rendering.render_services` takes them.

    `files` are those of a project's definition. An entry's `container` key becomes a line of the container's
    config.json, which is added here as one more file; `oslo` is for `validation_of`. `directory` is where the container
    sees the files (`container_config_directory`), `role` the folder of the project's role, below which relative paths
    of templates and copies are.
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
    """Return the files of services `local` with options of oslo.config, by service, for `option_findings`.

    Their entries have a true `oslo`. With them come the image and the container that they are for, and the paths that
    are in the container though not in the image (`provided`).
    """
    wanted = {name: [file["dest"] for file in files.get(name, []) if file.get("oslo")] for name in local}
    return {
        name: {
            "image": local[name]["image"],
            "container": local[name]["container_name"],
            "files": paths,
            "provided": provided_paths(local[name], files.get(name, [])),
        }
        for name, paths in wanted.items()
        if paths
    }


def provided_paths(service: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths in a service's container that its volumes and its `files` provide."""
    mounted = [volume.split(":")[1] for volume in service.get("volumes", []) if volume.count(":")]
    return sorted({*mounted, *(file["container"]["path"] for file in files if "container" in file)})


def in_role(file: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return a file's entry with its relative paths below the folders of a role: templates and files."""

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


def health_of(services: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return services' containers, health checks and log files, as `qinling.kolla.container_health` takes them."""
    return [
        {
            "name": service["container_name"],
            "test": container_spec.healthcheck_of(service["healthcheck"])["Test"],
            "log_file": service.get("log_file", ""),
        }
        for service in services
    ]


def containers_of(services: Services) -> list[dict[str, str]]:
    """Return services and their containers, as `qinling.kolla.service_backup` takes them."""
    return [{"service": name, "container": str(service["container_name"])} for name, service in services.items()]


def backups_of(services: Services, project: str) -> dict[str, dict[str, str]]:
    """Return by service what a rollback has to know of a project's `services`, where its variables are out of reach."""
    return {
        name: {"project": project, "container_name": str(service["container_name"])}
        for name, service in services.items()
    }


def rollback_text(
    host: str, rollbacks: Iterable[Mapping[str, list[str]]], containers: Iterable[Mapping[str, str]]
) -> str:
    """Return what a host runs after `rollbacks` of projects, as `qinling.kolla.service_backup` returns them.

    `containers` are the restored ones, as `qinling.kolla.container_health` returns them.
    """
    results = list(rollbacks)
    lines = [f"- {container['name']}, image {container['image']}: {container['status']}" for container in containers]
    lines += [f"- {name}: removed, as it did not run before" for result in results for name in result["removed"]]
    left = [f"- {name}: left for inspection, as none ran before" for result in results for name in result["left"]]
    if left:
        return "\n".join([f"{host} has the new configuration where there was none that worked:", *left, *lines])
    state = "and runs what it ran before:" if lines else "and no container had been replaced."
    return "\n".join([f"{host} has its earlier configuration, {state}", *lines])
