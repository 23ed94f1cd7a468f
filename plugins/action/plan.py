# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the files of all projects of a host, compare the desired state with the host, and return the plan."""

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
    desired_files,
    to_bool,
    to_plain,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering_action import RenderingAction, secrets_in
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import inputs
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects import projects, services

SCOPES = ("files", "containers", "options", "resources", "host", "running", "leftovers", "origins")
# The keys of `settings` that the comparison of containers needs.
_SETTINGS = ("healthchecks", "restart_policy", "stop_timeout", "labels")
# The keys of a service that are sent to the host.
_CONTAINER_KEYS = ("container_name", *container_digest.CONTAINER_KEYS)


class Project:
    """A project on one host, evaluated as far as the plan's scopes need it."""

    def __init__(
        self, definition: projects.Definition, args: Mapping[str, Any], group_names: list[str], first: bool
    ) -> None:
        """Evaluate a definition; `args` are the task's options, `first` is whether this is the project's first host."""
        scopes = set(args["scopes"])
        self.name = definition.name
        self.role = definition.role
        self.services = definition.services
        self.local = services.services_of_host(self.services, group_names)
        self.files: dict[str, list[dict[str, Any]]] = (
            definition.get("files", {}) if scopes & {"files", "origins"} else {}
        )
        # Whether requirements and the hook precheck apply even without differences.
        self.always_checked = args.get("prechecks") == "all"
        self.ports, self.host_files, self.subnets = [], list[dict[str, str]](), list[dict[str, str]]()
        if "host" in scopes:
            self.ports = projects.ports_of(definition.get("ports", []), self.local)
            self.host_files = projects.items_for_host(definition.get("host_files", []), first)
            self.subnets = definition.get("subnets", [])
            self.always_checked = self.always_checked or to_bool(definition.get("always_precheck", False))
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
        keep_data = to_bool(args.get("keep_data", False))
        self.kept_volumes = [volume for volume in named if volume not in args["transient_volumes"]] if keep_data else []
        self.removed_volumes = [volume for volume in named if volume not in self.kept_volumes]
        self.removed_networks = [] if keep_data else services.networks_of(self.services)
        self.resources: list[dict[str, Any]] = []
        if scopes & {"files", "resources"}:
            self.resources = projects.items_for_host(definition.get("resources", []), first)
        if "resources" in scopes:
            database, server = definition.get("database", {}), to_plain(args.get("database") or {})
            if server and database and first:
                self.resources = [{"kind": "database", **server, **database}, *self.resources]
        self.requirements: list[dict[str, Any]] = definition.get("requirements", []) if args.get("prechecks") else []
        self.unmet = [item for item in self.requirements if to_bool(item.get("unmet", False))]
        # For the tasks that apply the plan.
        self.result = {
            "hooks": definition.get("hooks", []),
            "depends_on": definition.get("depends_on", []),
            "upgrade_order": definition.get("upgrade_order", []),
            "kept_volumes": self.kept_volumes,
            "resources": self.resources,
        }
        self.findings = definition.findings()

    def containers(self, comparison: Mapping[str, Any], args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the specifications of the local services' containers for the module containers.

        `comparison` is the result of the module plan. Raise AnsibleActionFail if Docker would reject a value.
        """
        bootstraps = {self.bootstrap["service"]: self.bootstrap["inputs"]} if self.bootstrap else {}
        owner = {ownership.MANAGED: "true", ownership.DEPLOYMENT: str(args.get("deployment") or "")}
        settings = to_plain(args["settings"])
        specs = []
        for name, service in self.local.items():
            if name not in comparison["definitions"]:
                continue
            labels = {
                **owner,
                service_backup.SERVICE: name,
                container_digest.CONFIGURATION: comparison["digests"][name],
                container_digest.LABEL: comparison["definitions"][name],
                **({container_digest.BOOTSTRAP: bootstraps[name]} if bootstraps.get(name) else {}),
            }
            entry = container_digest.with_group(service, int(comparison["docker_socket_group"]))
            try:
                specs.append(container_spec.spec_of(name, entry, settings, labels, comparison["absent_mounts"]))
            except (ValueError, TypeError, LookupError) as error:
                raise AnsibleActionFail(
                    f"the container {service['container_name']} cannot be created: {error}"
                ) from error
        return specs

    def bootstrap_needed(self, comparison: Mapping[str, Any]) -> bool:
        """Return whether the bootstrap runs before the service's container is created or replaced.

        With `inputs`, it does not run again for the same image and inputs.
        """
        done = comparison.get("bootstrapped" if self.bootstrap.get("inputs") else "unchanged") or []
        return bool(self.bootstrap) and self.bootstrap["service"] not in done

    def configuration(self, files: Mapping[str, Any], secrets: list[str]) -> dict[str, Any]:
        """Return the payload of the module config_files for this project; `files` has the files of all projects."""
        return {
            "services": {name: files[name] for name in self.services if name in files},
            "disabled": [name for name in self.services if name not in self.local],
            "secrets": secrets,
        }


def unreachable_result(names: list[str], reason: str) -> dict[str, Any]:
    """Return the plan of a host that cannot be compared: a finding with the reason, and all projects to apply."""
    return {
        "findings": [f"the host cannot be compared with its desired state: {reason}"],
        "projects": {},
        "apply": names,
        **{name: [] for name in ("precheck", "unchanged", "bootstrapped", "up_to_date", "orphaned", "existing")},
        **{name: [] for name in ("backups", "images", "absent_images", "absent_mounts", "validated", "leftovers")},
        "retained_volumes": [],
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
        problems += [f"unknown scope {name}" for name in sorted(scopes - set(SCOPES))]
        if "containers" in scopes:
            settings = args.get("settings") or {}
            problems += [f"the scope containers needs settings.{name}" for name in _SETTINGS if name not in settings]
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.plan: {'; '.join(problems)}")

        args = {"scopes": [], "projects": [], "transient_volumes": [], "bootstrap_prefix": "bootstrap_", **args}
        host = str(task_vars.get("inventory_hostname"))
        try:
            plan = self._plan(args, scopes, task_vars)
        except AnsibleConnectionFailure as error:
            # The task's no_log hides the error itself.
            Display().warning(f"{host}: {error}")
            raise
        except Exception as error:
            # A later task reports the error with all other findings: no_log would hide it here.
            text = str(error) if isinstance(error, AnsibleError) else f"{type(error).__name__}: {error}"
            spellings = literals(self._secrets(args, task_vars))
            reason = hide(" ".join(text.split()), spellings)
            Display().vvv(hide(traceback.format_exc(), spellings), host=host)
            plan = unreachable_result([str(project["name"]) for project in args["projects"]], reason)
        # A summary, as no_log hides the result, which contains the files.
        Display().v(differences_text(plan["projects"], scopes), host=host)
        return {**result, "changed": False, **plan}

    def _secrets(self, args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> list[str]:
        """Return the values to mask."""
        return [*map(to_plain, args.get("secrets") or []), *secrets_in(task_vars)]

    def _plan(self, args: Mapping[str, Any], scopes: set[str], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the plan. Raise AnsibleError if it cannot be computed."""
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
            specs: dict[str, Any] = {}
            for project in planned:
                specs |= services.files_of(project.local, project.files, str(args["directory"]), project.role)
            rendered = self.render(specs, task_vars)
        files = payload.dump_files(desired_files(rendered))
        if "files" in scopes:
            request["files"] = files
        if "containers" in scopes:
            request["settings"] = to_plain(args.get("settings") or {})
        if "options" in scopes and to_bool(args.get("validate", True)):
            validate: dict[str, Any] = {}
            for project in planned:
                validate |= services.validation_of(project.local, project.files)
            pull = to_bool(args.get("pull", False)) and not self._task.check_mode
            checks = option_findings.required_checks(rendered, validate)
            request["options"] = option_findings.request(checks, force=to_bool(args.get("force", False)), pull=pull)

        # The controller alone has the origins of options.
        comparison = self._compare(request, task_vars) if scopes != {"origins"} else {}
        options = comparison.pop("options", {"found": [], "validated": [], "not_validated": {}})
        findings, warnings = option_findings.to_findings(options, rendered, map(str, args.get("shared_files") or []))
        findings += [finding for project in planned for finding in project.findings]
        for path in map(str, args.get("globals") or []):
            findings = inputs.with_location(findings, path, self._key_lines(path))
        for warning in warnings:
            Display().warning(hide(warning, spellings))
        if "origins" in scopes and not rendered.findings:
            query = str(args.get("option") or "")
            comparison["origins"], comparison["names"] = origins.origins_for(rendered.services, query, spellings)
        # A message about an invalid value may quote the value.
        messages = [hide(str(finding), spellings) for finding in dict.fromkeys([*rendered.findings, *findings])]
        differences = comparison.pop("differences", {})
        on_controller = resources_of(planned, on_controller=True)
        if "resources" in scopes and any(on_controller.values()):
            # Only needed in a Kolla cloud, and a fifth of the import time of a run.
            from ansible_collections.qinling.kolla.plugins.module_utils._resources.kinds import Comparison

            for name, kinds in Comparison(on_controller).differences().items():
                for kind, items in kinds.items():
                    differences[name]["resources"].setdefault(kind, []).extend(items)
        apply = [
            project.name
            for project in planned
            if args.get("action") in project.always_run
            or any(differences.get(project.name, {}).get(scope) for scope in scopes)
        ]
        prechecked = [
            project
            for project in planned
            if args.get("prechecks") and (project.always_checked or project.name in apply)
        ]
        unmet = comparison.pop("unmet_requirements", {})
        for item in [item for project in prechecked for item in [*project.unmet, *unmet.get(project.name, [])]]:
            if to_bool(item.get("warning", False)):
                Display().warning(str(item["message"]).strip())
            else:
                messages.append(str(item["message"]).strip())
        containers: dict[str, list[dict[str, Any]]] = {}
        for project in planned if "containers" in scopes else []:
            try:
                containers[project.name] = project.containers(comparison, args)
            except AnsibleActionFail as error:
                messages.append(hide(str(error), spellings))
        return {
            **comparison,
            "findings": [*messages, *comparison.get("findings", [])],
            "validated": options["validated"],
            "not_validated": options["not_validated"],
            "projects": {
                project.name: {
                    **project.result,
                    "services": {
                        name: container_digest.with_group(service, int(comparison.get("docker_socket_group", 0)))
                        for name, service in project.services.items()
                    },
                    "bootstrap": {**project.bootstrap, "needed": project.bootstrap_needed(comparison)}
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
            "precheck": [project.name for project in prechecked if "precheck" in project.result["hooks"]],
            "images": sorted({service["image"] for project in planned for service in project.local.values()}),
        }

    def _compare(self, request: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the module's comparison of a request with the host. Raise AnsibleError on failure."""
        comparison = dict(
            self._execute_module(
                "qinling.kolla.host_plan", module_args={"payload": payload.dump(request)}, task_vars=task_vars
            )
        )
        if "differences" not in comparison:
            raise AnsibleActionFail(str(comparison.get("msg", "the module returned no result")))
        return comparison

    def _key_lines(self, path: str) -> dict[str, int]:
        """Return the lines of the variables in a file, an empty mapping if it does not exist."""
        if not Path(path).is_file():
            return {}
        content, _was_plain = self._loader._get_file_contents(path)
        return inputs.key_lines(bytes(content).decode("utf-8-sig"))[0]

    def _request(self, planned: list[Project], args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request to the module, without files, settings and options."""
        scopes, early = set(args["scopes"]), to_bool(args.get("early", False))
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
    """Return the resources by project that are applied on the controller, or on the host."""
    return {
        project.name: [item for item in project.resources if bool(item.get("on_controller")) == on_controller]
        for project in planned
    }


def differences_text(planned: Mapping[str, Mapping[str, Any]], scopes: Iterable[str]) -> str:
    """Return the differences within the scopes as text, a line for each project and scope."""
    shown = set(scopes)
    lines = [
        f"{name}: {scope}: {_listed(found)}"
        for name, project in planned.items()
        for scope, found in project["differences"].items()
        if found and scope in shown
    ]
    return "\n".join(["Plan:", *lines]) if lines else "Plan: no differences"


def _listed(differences: Mapping[str, Iterable[str]] | Iterable[str]) -> str:
    if isinstance(differences, Mapping):
        return "; ".join(f"{kind}: {', '.join(items)}" for kind, items in differences.items())
    return ", ".join(differences)
