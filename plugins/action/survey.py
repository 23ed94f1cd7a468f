# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Renders the files of all projects of a host, has the host looked at once, and tells what has to be done there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.filter.services import (
    configuration_of,
    named_volumes,
    own_volumes,
    ports_of,
    services_of_host,
    validation_of,
)
from ansible_collections.qinling.kolla.plugins.module_utils import definitions, payload, service_backup
from ansible_collections.qinling.kolla.plugins.module_utils.masking import hide, literals
from ansible_collections.qinling.kolla.plugins.plugin_utils import inputs, option_findings, templating
from ansible_collections.qinling.kolla.plugins.plugin_utils.action_base import option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering import (
    Rendered,
    plain,
    truth,
    wanted_files,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering_action import RenderingAction

LOOKS = ("files", "containers", "options", "wants", "host", "running", "remains")
# What of a service's entry the host is told.
_TOLD = ("container_name", *definitions.MADE_FROM)

GLOBALS = Path(__file__).resolve().parents[2] / "group_vars" / "all"


def global_names(folder: Path) -> list[str]:
    """Takes the folder of Kolla's globals, returns their names in the order in which they refer to each other."""
    return [name for path in sorted(folder.glob("*.yml")) for name in inputs.key_lines(path.read_text("utf-8"))[0]]


def settled(templar: Any, variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Takes Ansible's templar, all variables and names of some; returns the variables with the values of those.

    Ansible evaluates a template anew wherever something refers to it, and hundreds of templates refer to these few.
    One that can not be evaluated stays as it is: whoever needs it says so.
    """
    known = dict(variables)
    for name in names:
        if isinstance(known.get(name), str) and "{{" in known[name]:
            with contextlib.suppress(Exception), templating.variables_of(templar, known):
                known[name] = plain(templating.value(templar, name))
    return known


class Project:
    """A project's data: variables of its role, by its name."""

    def __init__(self, name: str, value: Callable[[str], Any], group_names: list[str], look: set[str]) -> None:
        self.name = name
        self.services: dict[str, dict[str, Any]] = value("service_containers")
        if "wants" in look:
            value("__service_is_first")
            value("service_database")
        self.here = services_of_host(self.services, group_names)
        self.files: dict[str, list[dict[str, Any]]] = value("service_files") if "files" in look else {}
        self.ports = ports_of(value("service_ports"), self.here) if "host" in look else []
        self.host_files: list[dict[str, str]] = value("service_host_files") if "host" in look else []
        self.subnets: list[dict[str, str]] = value("service_subnets") if "host" in look else []
        self.always: list[str] = value("service_always")
        self.one_off: list[str] = value("service_one_off_containers")
        # What destroy removes: with qinling_destroy_keep_data neither data nor what functions run on.
        self.removed_volumes: list[str] = []
        self.removed_networks: list[str] = []
        if "remains" in look:
            kept = value("__service_volumes_kept")
            self.removed_volumes = [volume for volume in named_volumes(self.services) if volume not in kept]
            self.removed_networks = [] if truth(value("qinling_destroy_keep_data")) else networks_of(self.services)
        self.always_prechecked = truth(value("service_always_prechecked")) if "host" in look else False
        self.wants: list[dict[str, Any]] = value("service_wants") if "wants" in look else []


def blind(projects: list[str], reason: str) -> dict[str, Any]:
    """Takes projects and why one could not look, returns the result: a finding, and everything is to be done."""
    return {
        "findings": [f"the host can not be looked at: {reason}"],
        "missing": {},
        "todo": projects,
        **{name: [] for name in ("asked", "made", "settled", "surplus", "existing", "backups")},
        **{name: [] for name in ("images", "absent_mounts")},
        "docker_socket_group": 0,
    }


class ActionModule(RenderingAction):
    """Thin glue between Ansible, `rendering` and the module of the same name."""

    _name = "survey"
    _options = frozenset(
        {
            "projects",
            "look",
            "action",
            "early",
            "root",
            "owner",
            "group",
            "directory",
            "secrets",
            "settings",
            "shared_files",
            "deployment",
        }
        | {"validate", "fail", "pull", "globals"}
    )

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        problems = option_problems(args, self._options, ("root", "directory"))
        look = set(args.get("look") or [])
        problems += [f"there is no look {name}" for name in sorted(look - set(LOOKS))]
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.survey: {'; '.join(problems)}")

        try:
            answer = self._answer(args, look, task_vars)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            # Reported with what is wrong elsewhere, where somebody does that.
            if truth(args.get("fail", True)):
                raise
            answer = blind([str(name) for name in args["projects"]], " ".join(str(error).split()))
        return {**result, "changed": False, **answer}

    def _answer(self, args: Mapping[str, Any], look: set[str], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Takes the task's options, what to look at and all variables; returns the result. Raises AnsibleError."""
        task_vars = settled(self._templar, task_vars, global_names(GLOBALS))
        group_names = [str(name) for name in task_vars["group_names"]]
        projects = [
            Project(str(name), self._reader(str(name), task_vars), group_names, look) for name in args["projects"]
        ]
        early = truth(args.get("early", False))
        request = self._request(projects, args, early)
        rendered, spellings = Rendered(), list[str]()
        if "files" in look:
            services: dict[str, Any] = {}
            for project in projects:
                services |= configuration_of(project.services, project.files, group_names, str(args["directory"]))
            rendered, secrets = self.render(services, args.get("secrets") or [], task_vars)
            spellings = literals(secrets)
            request["files"] = payload.dump_files(wanted_files(rendered))
        if "containers" in look:
            request["settings"] = plain(args.get("settings") or {})
        if "options" in look and truth(args.get("validate", True)):
            validate: dict[str, Any] = {}
            for project in projects:
                validate |= validation_of(project.here, project.files)
            pull = truth(args.get("pull", False)) and not self._task.check_mode
            checks = option_findings.wanted_checks(rendered, validate)
            request["options"] = option_findings.request(checks, force=False, pull=pull)

        answer = dict(
            self._execute_module(
                "qinling.kolla.survey", module_args={"payload": payload.dump(request)}, task_vars=task_vars
            )
        )
        if "missing" not in answer:
            raise AnsibleActionFail(str(answer.get("msg", "the host gave no answer")))
        findings, warnings = option_findings.told(
            answer.pop("options"), rendered, map(str, args.get("shared_files") or [])
        )
        for path in map(str, args.get("globals") or []):
            findings = inputs.placed(findings, path, self._key_lines(path))
        for warning in warnings:
            Display().warning(hide(warning, spellings))
        # What is said about a value that is wrong may hold the value.
        about = [hide(str(finding), spellings) for finding in dict.fromkeys([*rendered.findings, *findings])]
        todo = [
            project.name
            for project in projects
            if args.get("action") in project.always or any(answer["missing"][project.name].get(kind) for kind in look)
        ]
        return {
            **answer,
            "findings": [*about, *answer["findings"]],
            "todo": todo,
            "images": sorted({service["image"] for project in projects for service in project.here.values()}),
            "asked": [project.name for project in projects if project.always_prechecked or project.name in todo],
        }

    def _key_lines(self, path: str) -> dict[str, int]:
        """Return the lines of the variables in a file, nothing where there is no such file."""
        if not Path(path).is_file():
            return {}
        content, _was_plain = self._loader._get_file_contents(path)
        return inputs.key_lines(bytes(content).decode("utf-8-sig"))[0]

    def _reader(self, project: str, task_vars: Mapping[str, Any]) -> Callable[[str], Any]:
        """Takes a project's name and all variables, returns what reads a variable for that project."""
        # What only the host can tell is filled in there.
        told = {"docker_socket_group": definitions.SOCKET_GROUP}
        variables = {**task_vars, "service_project": project, "__survey": told}

        def value(name: str) -> Any:
            with templating.variables_of(self._templar, variables):
                # Whole, as long as it is this project's: what it holds may be evaluated later otherwise. And once.
                variables[name] = plain(templating.value(self._templar, name))
            return variables[name]

        return value

    def _request(self, projects: list[Project], args: Mapping[str, Any], early: bool) -> dict[str, Any]:
        """Takes projects, the task's options, and whether it is early; returns what the host is asked but for files."""
        look = set(args["look"])
        request: dict[str, Any] = {
            "root": str(args["root"]),
            "owner": args.get("owner"),
            "group": args.get("group"),
            "files": None,
            "projects": {
                project.name: {
                    name: {key: service[key] for key in _TOLD if key in service}
                    for name, service in project.services.items()
                }
                for project in projects
            },
            "here": [name for project in projects for name in project.here],
            "deployment": str(args.get("deployment") or ""),
            "claims": {
                project.name: {
                    "container": [
                        *(service["container_name"] for service in project.services.values()),
                        *(service["container_name"] + service_backup.SUFFIX for service in project.services.values()),
                        *project.one_off,
                    ],
                    "volume": named_volumes(project.services),
                    "network": networks_of(project.services),
                }
                for project in projects
            },
            "unmanaged": bool(look & {"running", "remains"}),
        }
        here = [service for project in projects for service in project.here.values()]
        containers = [service["container_name"] for service in here]
        if "host" in look:
            request["host"] = {
                "ports": [port for project in projects for port in project.ports],
                "docker": not early,
                "images": [] if early else list(dict.fromkeys(service["image"] for service in here)),
                "containers": [] if early else [*containers, *(name + service_backup.SUFFIX for name in containers)],
                "writable": [str(args["root"])],
                "files": [file for project in projects for file in project.host_files],
                "subnets": [] if early else [subnet for project in projects for subnet in project.subnets],
            }
        if "containers" in look:
            request["volumes"] = {project.name: named_volumes(project.here) for project in projects}
        if "wants" in look:
            request["wants"] = {project.name: project.wants for project in projects}
        if "remains" in look:
            own = {volume for project in projects for volume in own_volumes(project.services)}
            request["remains"] = {
                project.name: {
                    "volumes": project.removed_volumes,
                    "extra_volumes": [volume for volume in project.removed_volumes if volume not in own],
                    "networks": project.removed_networks,
                    "paths": [f"{args['root']}/{name}" for name in project.services],
                }
                for project in projects
            }
        return request


def networks_of(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Takes services, returns the names of the networks of their own that they are in."""
    return sorted({network["name"] for service in services.values() for network in service.get("networks") or []})
