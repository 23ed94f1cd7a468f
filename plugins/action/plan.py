# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Renders the files of all projects of a host, compares them and all else with the host once, and returns the plan."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import hide, literals
from ansible_collections.qinling.kolla.plugins.module_utils._docker import (
    container_digest,
    container_spec,
    ownership,
    service_backup,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import option_findings, origins
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import (
    Rendered,
    plain,
    truth,
    wanted_files,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering_action import RenderingAction, secrets_in
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import inputs
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects import projects, services

SCOPES = ("files", "containers", "options", "resources", "host", "running", "leftovers", "origins")
# What of `settings` containers are compared with.
_SETTINGS = ("healthchecks", "restart_policy", "stop_timeout", "labels")
# The keys of a service that the host needs to know.
_CONTAINER_KEYS = ("container_name", *container_digest.MADE_FROM)


class Project:
    """What a plan needs of a project on one host, evaluated as far as the plan's scopes need it."""

    def __init__(
        self, definition: projects.Definition, args: Mapping[str, Any], group_names: list[str], first: bool
    ) -> None:
        """Take a definition, the task's options, the host's groups, and whether it is the project's first host."""
        scopes = set(args["scopes"])
        self.name = definition.name
        self.role = definition.role
        self.services = definition.services
        self.local = services.services_of_host(self.services, group_names)
        self.files: dict[str, list[dict[str, Any]]] = (
            definition.get("files", {}) if scopes & {"files", "origins"} else {}
        )
        # Whether requirements and the hook precheck count even where nothing differs.
        self.checked = args.get("prechecks") == "all"
        self.ports, self.host_files, self.subnets = [], list[dict[str, str]](), list[dict[str, str]]()
        if "host" in scopes:
            self.ports = projects.ports_of(definition.get("ports", []), self.local)
            self.host_files = projects.once_of(definition.get("host_files", []), first)
            self.subnets = definition.get("subnets", [])
            self.checked = self.checked or truth(definition.get("always_precheck", False))
        self.always_run: list[str] = definition.get("always_run", [])
        bootstrap = definition.get("bootstrap", {})
        self.bootstrap = (
            {
                "service": bootstrap["service"],
                "container": args["bootstrap_prefix"] + bootstrap["service"].replace("-", "_"),
                "inputs": container_digest.bootstrap_of(bootstrap["inputs"]) if bootstrap.get("inputs") else "",
            }
            if bootstrap
            else {}
        )
        self.one_off = [*filter(None, [self.bootstrap.get("container")]), *definition.get("one_off_containers", [])]
        named = services.named_volumes(self.services)
        keep_data = truth(args.get("keep_data", False))
        self.kept_volumes = [volume for volume in named if volume not in args["transient_volumes"]] if keep_data else []
        self.removed_volumes = [volume for volume in named if volume not in self.kept_volumes]
        self.removed_networks = [] if keep_data else services.networks_of(self.services)
        self.resources: list[dict[str, Any]] = []
        if scopes & {"files", "resources"}:
            self.resources = projects.once_of(definition.get("resources", []), first)
        if "resources" in scopes:
            database, server = definition.get("database", {}), plain(args.get("database") or {})
            if server and database and first:
                self.resources = [{"kind": "database", **server, **database}, *self.resources]
        self.requirements: list[dict[str, Any]] = definition.get("requirements", []) if args.get("prechecks") else []
        self.unmet = [item for item in self.requirements if truth(item.get("unmet", False))]
        # What the tasks that apply the plan need to know.
        self.result = {
            "hooks": definition.get("hooks", []),
            "depends_on": definition.get("depends_on", []),
            "upgrade_order": definition.get("upgrade_order", []),
            "kept_volumes": self.kept_volumes,
            "resources": self.resources,
        }
        self.findings = definition.findings()

    def containers(self, answer: Mapping[str, Any], args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what the module containers is sent to run the local services, of the module's answer to the plan.

        Raise AnsibleActionFail where a service has a value that Docker cannot take.
        """
        bootstraps = {self.bootstrap["service"]: self.bootstrap["inputs"]} if self.bootstrap else {}
        owner = {ownership.MANAGED: "true", ownership.DEPLOYMENT: str(args.get("deployment") or "")}
        settings = plain(args["settings"])
        specs = []
        for name, service in self.local.items():
            if name not in answer["definitions"]:
                continue
            labels = {
                **owner,
                service_backup.SERVICE: name,
                container_digest.CONFIGURATION: answer["digests"][name],
                container_digest.LABEL: answer["definitions"][name],
                **({container_digest.BOOTSTRAP: bootstraps[name]} if bootstraps.get(name) else {}),
            }
            entry = container_digest.with_group(service, int(answer["docker_socket_group"]))
            try:
                specs.append(container_spec.spec_of(name, entry, settings, labels, answer["absent_mounts"]))
            except (ValueError, TypeError, LookupError) as error:
                raise AnsibleActionFail(
                    f"the container {service['container_name']} cannot be created: {error}"
                ) from error
        return specs

    def bootstrap_needed(self, answer: Mapping[str, Any]) -> bool:
        """Return whether the bootstrap runs before the service's container is created or replaced.

        Without inputs, it does in each case. With some, what it did for the same image and inputs is done.
        """
        done = answer.get("bootstrapped" if self.bootstrap.get("inputs") else "unchanged") or []
        return bool(self.bootstrap) and self.bootstrap["service"] not in done

    def configuration(self, files: Mapping[str, Any], secrets: list[str]) -> dict[str, Any]:
        """Return what the module config_files is sent to write the project's files, of those of all projects."""
        return {
            "services": {name: files[name] for name in self.services if name in files},
            "disabled": [name for name in self.services if name not in self.local],
            "secrets": secrets,
        }


def unreachable_result(names: list[str], reason: str) -> dict[str, Any]:
    """Return the plan of a host that cannot be compared, and why: a finding, and all projects are to be applied."""
    return {
        "findings": [f"the host cannot be compared with its desired state: {reason}"],
        "projects": {},
        "apply": names,
        **{name: [] for name in ("precheck", "unchanged", "bootstrapped", "up_to_date", "orphaned", "existing")},
        **{
            name: []
            for name in ("backups", "images", "absent_images", "absent_mounts", "validated", "leftovers", "kept")
        },
        **{name: {} for name in ("docker", "digests", "definitions", "not_validated")},
        "docker_socket_group": 0,
    }


class ActionModule(RenderingAction):
    """Thin glue between Ansible, `rendering` and the module of the same name."""

    _options = frozenset(
        {"projects", "scopes", "action", "early", "root", "owner", "group", "directory", "secrets", "settings"}
        | {"shared_files", "deployment", "validate", "pull", "force", "globals", "option", "database"}
        | {"keep_data", "transient_volumes", "bootstrap_prefix", "prechecks"}
    )

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        problems = option_problems(args, self._options, ("root", "directory"))
        scopes = set(args.get("scopes") or [])
        problems += [f"there is no scope {name}" for name in sorted(scopes - set(SCOPES))]
        if "containers" in scopes:
            settings = args.get("settings") or {}
            problems += [f"the scope containers needs settings.{name}" for name in _SETTINGS if name not in settings]
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.plan: {'; '.join(problems)}")

        args = {"scopes": [], "projects": [], "transient_volumes": [], "bootstrap_prefix": "bootstrap_", **args}
        host = str(task_vars.get("inventory_hostname"))
        try:
            answer = self._answer(args, scopes, task_vars)
        except AnsibleConnectionFailure as error:
            # The task has no_log, which hides this message otherwise.
            Display().warning(f"{host}: {error}")
            raise
        except Exception as error:
            # Whatever it is, a task that follows reports it with all other findings: no_log would hide it here.
            text = str(error) if isinstance(error, AnsibleError) else f"{type(error).__name__}: {error}"
            spellings = literals(self._secrets(args, task_vars))
            reason = hide(" ".join(text.split()), spellings)
            Display().vvv(hide(traceback.format_exc(), spellings), host=host)
            answer = unreachable_result([str(project["name"]) for project in args["projects"]], reason)
        # What differs, in a few lines: the result itself is hidden, as it holds the files.
        Display().v(differences_text(answer["projects"], scopes), host=host)
        return {**result, "changed": False, **answer}

    def _secrets(self, args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> list[str]:
        """Return the values that are never shown."""
        return [*map(plain, args.get("secrets") or []), *secrets_in(task_vars)]

    def _answer(self, args: Mapping[str, Any], scopes: set[str], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the plan. Raises AnsibleError where it cannot be made."""
        task_vars = projects.with_roles(self._loader, task_vars)
        task_vars = projects.with_globals(self._templar, task_vars)
        group_names = [str(name) for name in task_vars["group_names"]]
        planned = [
            Project(definition, args, group_names, definition.is_first(task_vars))
            for definition in projects.definitions(self._templar, task_vars, args["projects"])
        ]
        rendered = Rendered()
        secrets = self._secrets(args, task_vars)
        spellings = literals(secrets)
        request = self._request(planned, args)
        if scopes & {"files", "origins"}:
            described: dict[str, Any] = {}
            for project in planned:
                described |= services.files_of(project.local, project.files, str(args["directory"]), project.role)
            rendered = self.render(described, task_vars)
        files = payload.dump_files(wanted_files(rendered))
        if "files" in scopes:
            request["files"] = files
        if "containers" in scopes:
            request["settings"] = plain(args.get("settings") or {})
        if "options" in scopes and truth(args.get("validate", True)):
            validate: dict[str, Any] = {}
            for project in planned:
                validate |= services.validation_of(project.local, project.files)
            pull = truth(args.get("pull", False)) and not self._task.check_mode
            checks = option_findings.wanted_checks(rendered, validate)
            request["options"] = option_findings.request(checks, force=truth(args.get("force", False)), pull=pull)

        # Where options come from, the controller knows.
        answer = self._compare(request, task_vars) if scopes != {"origins"} else {}
        options = answer.pop("options", {"found": [], "validated": [], "not_validated": {}})
        findings, warnings = option_findings.told(options, rendered, map(str, args.get("shared_files") or []))
        findings += [finding for project in planned for finding in project.findings]
        for path in map(str, args.get("globals") or []):
            findings = inputs.placed(findings, path, self._key_lines(path))
        for warning in warnings:
            Display().warning(hide(warning, spellings))
        if "origins" in scopes and not rendered.findings:
            question = str(args.get("option") or "")
            answer["origins"], answer["names"] = origins.answers(rendered.services, question, spellings)
        # What is said about a value that is wrong may hold the value.
        about = [hide(str(finding), spellings) for finding in dict.fromkeys([*rendered.findings, *findings])]
        differences = answer.pop("differences", {})
        on_controller = resources_of(planned, on_controller=True)
        if "resources" in scopes and any(on_controller.values()):
            # Only in a Kolla cloud: this import would be a fifth of all those of a run.
            from ansible_collections.qinling.kolla.plugins.module_utils._resources.kinds import Comparison

            for name, kinds in Comparison(on_controller).differences().items():
                for kind, found in kinds.items():
                    differences[name]["resources"].setdefault(kind, []).extend(found)
        apply = [
            project.name
            for project in planned
            if args.get("action") in project.always_run
            or any(differences.get(project.name, {}).get(scope) for scope in scopes)
        ]
        checked = [
            project for project in planned if args.get("prechecks") and (project.checked or project.name in apply)
        ]
        unmet = answer.pop("unmet", {})
        for item in [item for project in checked for item in [*project.unmet, *unmet.get(project.name, [])]]:
            if truth(item.get("warning", False)):
                Display().warning(str(item["message"]).strip())
            else:
                about.append(str(item["message"]).strip())
        containers: dict[str, list[dict[str, Any]]] = {}
        for project in planned if "containers" in scopes else []:
            try:
                containers[project.name] = project.containers(answer, args)
            except AnsibleActionFail as error:
                about.append(hide(str(error), spellings))
        return {
            **answer,
            "findings": [*about, *answer.get("findings", [])],
            "validated": options["validated"],
            "not_validated": options["not_validated"],
            "projects": {
                project.name: {
                    **project.result,
                    "services": {
                        name: container_digest.with_group(service, int(answer.get("docker_socket_group", 0)))
                        for name, service in project.services.items()
                    },
                    "bootstrap": {**project.bootstrap, "needed": project.bootstrap_needed(answer)}
                    if project.bootstrap
                    else {},
                    "containers": containers.get(project.name, []),
                    "differences": differences.get(project.name, {}),
                    "configuration": payload.dump(project.configuration(files, secrets))
                    if "files" in scopes and project.name in apply
                    else "",
                }
                for project in planned
            },
            "apply": apply,
            "precheck": [project.name for project in checked if "precheck" in project.result["hooks"]],
            "images": sorted({service["image"] for project in planned for service in project.local.values()}),
        }

    def _compare(self, request: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what the host says of a request. Raises AnsibleError."""
        answer = dict(
            self._execute_module(
                "qinling.kolla.plan", module_args={"payload": payload.dump(request)}, task_vars=task_vars
            )
        )
        if "differences" not in answer:
            raise AnsibleActionFail(str(answer.get("msg", "the host gave no answer")))
        return answer

    def _key_lines(self, path: str) -> dict[str, int]:
        """Return the lines of the variables in a file, nothing where there is no such file."""
        if not Path(path).is_file():
            return {}
        content, _was_plain = self._loader._get_file_contents(path)
        return inputs.key_lines(bytes(content).decode("utf-8-sig"))[0]

    def _request(self, planned: list[Project], args: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the host is asked to compare, but for files, containers and options."""
        scopes, early = set(args["scopes"]), truth(args.get("early", False))
        request: dict[str, Any] = {
            "root": str(args["root"]),
            "owner": args.get("owner"),
            "group": args.get("group"),
            "files": None,
            "projects": {
                project.name: {
                    name: {key: service[key] for key in _CONTAINER_KEYS if key in service}
                    for name, service in project.services.items()
                }
                for project in planned
            },
            "local": [name for project in planned for name in project.local],
            "deployment": str(args.get("deployment") or ""),
            "claims": {
                project.name: {
                    "container": [
                        *(service["container_name"] for service in project.services.values()),
                        *(service["container_name"] + service_backup.SUFFIX for service in project.services.values()),
                        *project.one_off,
                    ],
                    "volume": services.named_volumes(project.services),
                    "network": services.networks_of(project.services),
                }
                for project in planned
            },
            "unmanaged": bool(scopes & {"running", "leftovers"}),
        }
        local = [service for project in planned for service in project.local.values()]
        containers = [service["container_name"] for service in local]
        if args.get("prechecks"):
            request["requirements"] = {
                project.name: [item for item in project.requirements if "unmet" not in item] for project in planned
            }
        if "host" in scopes:
            request["host"] = {
                "ports": [port for project in planned for port in project.ports],
                "docker": not early,
                "images": [] if early else list(dict.fromkeys(service["image"] for service in local)),
                "containers": [] if early else [*containers, *(name + service_backup.SUFFIX for name in containers)],
                "writable": [str(args["root"])],
                "files": [file for project in planned for file in project.host_files],
                "subnets": [] if early else [subnet for project in planned for subnet in project.subnets],
            }
        if "containers" in scopes:
            request["bootstraps"] = {
                project.bootstrap["service"]: project.bootstrap["inputs"]
                for project in planned
                if project.bootstrap.get("inputs")
            }
            request["volumes"] = {project.name: services.named_volumes(project.local) for project in planned}
        if "resources" in scopes:
            request["resources"] = resources_of(planned, on_controller=False)
        if "leftovers" in scopes:
            own = {volume for project in planned for volume in services.own_volumes(project.services)}
            request["leftovers"] = {
                project.name: {
                    "volumes": project.removed_volumes,
                    "extra_volumes": [volume for volume in project.removed_volumes if volume not in own],
                    "networks": project.removed_networks,
                    "paths": [f"{args['root']}/{name}" for name in project.services],
                }
                for project in planned
            }
        return request


def resources_of(planned: Iterable[Project], *, on_controller: bool) -> dict[str, list[dict[str, Any]]]:
    """Return the resources by project that are on the controller, or those of the host."""
    return {
        project.name: [item for item in project.resources if bool(item.get("on_controller")) == on_controller]
        for project in planned
    }


def differences_text(planned: Mapping[str, Mapping[str, Any]], scopes: Iterable[str]) -> str:
    """Return what differs within the scopes, a line for each project and scope, or that nothing does."""
    shown = set(scopes)
    lines = [
        f"{name}: {scope}: {_listed(found)}"
        for name, project in planned.items()
        for scope, found in project["differences"].items()
        if found and scope in shown
    ]
    return "\n".join(["Plan:", *lines]) if lines else "Plan: nothing differs"


def _listed(found: Mapping[str, Iterable[str]] | Iterable[str]) -> str:
    if isinstance(found, Mapping):
        return "; ".join(f"{kind}: {', '.join(items)}" for kind, items in found.items())
    return ", ".join(found)
