# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of a project (the variable `<name>_project` of its role), and functions over it.

Its specification is in roles/service/meta/argument_specs.yml, entry point `project`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import templating
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import to_plain
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import inputs
from ansible_collections.qinling.kolla.plugins.plugin_utils._projects.services import Services, first_host

ROLES = Path(__file__).resolve().parents[3] / "roles"
GLOBALS = ROLES.parent / "group_vars" / "all"
# Molecule skips these tags, the last one in its second run.
_TAGS_OF_MOLECULE = {"molecule-notest", "notest", "molecule-idempotence-notest"}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Definition:
    """A project's definition, whose keys are evaluated lazily, each once.

    Ansible before 2.19 evaluates a whole mapping if one of its keys is read, but keys that an action does not need may
    have no value (such as a password on `stop`).
    """

    def __init__(self, name: str, variable: str, raw: Any, evaluate: Callable[[Any], Any]) -> None:
        """Create a definition from the unevaluated value of a variable; `evaluate` returns the value of a template."""
        self.name = name
        self.variable = variable
        self.role = str(ROLES / name)
        self._raw: Mapping[str, Any] = raw if isinstance(raw, Mapping) else evaluate(raw)
        self._evaluate = evaluate
        self._values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default if it is missing."""
        if key not in self._values:
            self._values[key] = self._evaluate(self._raw[key]) if key in self._raw else None
        value = self._values[key]
        return default if value is None else value

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """Return the project's services."""
        services: dict[str, dict[str, Any]] = self.get("services", {})
        return services

    def is_first(self, variables: Mapping[str, Any]) -> bool:
        """Return whether the host with these variables is the first host of the play with a service of the project."""
        first = first_host(self.services, variables.get("groups") or {}, variables.get("ansible_play_hosts") or [])
        return first == variables.get("inventory_hostname")

    def findings(self) -> list[Finding]:
        """Return findings about the names of all keys and the values that were read so far."""
        spec = {
            name: {**option, "required": option.get("required", False) and name in self._values}
            for name, option in specification("project").items()
        }
        values = {name: value for name, value in self._values.items() if value is not None}
        unknown = [name for name in self._raw if name not in spec]
        messages = ArgumentSpecValidator(spec).validate(values, validate_role_argument_spec=True).error_messages
        messages += [f"{name} is not a key of a project; expected one of {', '.join(spec)}" for name in unknown]
        if isinstance(values.get("services"), Mapping):
            messages += _service_messages(values["services"])
        return [Finding(self.variable, 0, message) for message in messages]


def _service_messages(services: Services) -> list[str]:
    """Return messages about services that do not meet the specification."""
    validator = ArgumentSpecValidator(specification("service"))
    return [
        f"{name}: {message}"
        for name, service in services.items()
        for message in validator.validate(service, validate_role_argument_spec=True).error_messages
    ]


@cache
def specification(entry: str) -> dict[str, dict[str, Any]]:
    """Return the options of an entry point of the role service in the format of argument_specs."""
    path = ROLES / "service" / "meta" / "argument_specs.yml"
    specs = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506
    options: dict[str, dict[str, Any]] = specs["argument_specs"][entry]["options"]
    return options


def with_globals(templar: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return all variables, with Kolla's globals (group_vars/all) evaluated.

    Ansible evaluates a template for each reference to it, and hundreds of templates refer to these globals. A global
    that cannot be evaluated stays unchanged: its first use reports the error.
    """
    evaluated = dict(variables)
    for path in sorted(GLOBALS.glob("*.yml")):
        # In the order in which they refer to each other.
        for name in inputs.key_lines(path.read_text("utf-8"))[0]:
            if isinstance(evaluated.get(name), str) and "{{" in evaluated[name]:
                with contextlib.suppress(Exception), templating.variables_of(templar, evaluated):
                    evaluated[name] = to_plain(templating.value(templar, name))
    return evaluated


def with_roles(loader: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return all variables, with the defaults of projects' roles at the lowest precedence, their vars at the highest.

    A role's vars are not settings, so not even extra variables override them. A project may refer to variables of
    another one, such as the load balancer to Qinling's. `loader` is Ansible's DataLoader.
    """
    defaults: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for path in sorted(ROLES.glob("*/vars/main.yml")):
        role = path.parents[1]
        if f"\n{role.name}_project:" in path.read_text(encoding="utf-8"):
            defaults |= templating.load(loader, role / "defaults" / "main.yml")
            own |= templating.load(loader, path)
    return {**defaults, **variables, **own}


def definitions(templar: Any, variables: dict[str, Any], projects: Iterable[Mapping[str, Any]]) -> list[Definition]:
    """Return the definitions of projects (`{name, definition, …}`), where `definition` is the name of the variable.

    Raise AnsibleActionFail if a variable is missing.
    """

    def evaluate(value: Any) -> Any:
        with templating.variables_of(templar, variables):
            # Evaluate nested values as well, while the variables are set.
            return to_plain(templar.template(value))

    found = []
    for name, variable in ((str(project["name"]), str(project["definition"])) for project in projects):
        if variable not in variables:
            raise AnsibleActionFail(f"{variable} is not defined; expected it in the vars of the role {name}")
        found.append(Definition(name, variable, variables[variable], evaluate))
    return found


def groups_of(projects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups of projects (`{name, groups, …}`) that need a host, for `prechecks.group_findings`."""
    return [{"group": group, "service": project["name"]} for project in projects for group in project["groups"]]


def passwords_of(projects: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the passwords of projects (`{name, passwords, …}`), each once."""
    return list(dict.fromkeys(name for project in projects for name in project.get("passwords") or []))


def hosts_of(projects: Iterable[Mapping[str, Any]], groups: Mapping[str, list[str]]) -> list[str]:
    """Return the hosts in the groups of projects (`{name, groups, …}`), each once."""
    return list(
        dict.fromkeys(host for project in projects for group in project["groups"] for host in groups.get(group, []))
    )


def passwords_to_generate(projects: Iterable[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """Return the passwords whose first project (`{name, passwords, …}`) is among `names`.

    Passwords of other services in a Kolla cloud come from kolla-genpwd.
    """
    first: dict[str, str] = {}
    for project in projects:
        for password in project.get("passwords") or []:
            first.setdefault(password, project["name"])
    deployed = set(names)
    return [password for password, name in first.items() if name in deployed]


def projects_of_host(projects: Iterable[Mapping[str, Any]], group_names: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return the projects (`{name, groups, …}`) with one of a host's `group_names`, in order."""
    local = set(group_names)
    return [project for project in projects if local.intersection(project["groups"])]


def projects_of_tags(
    projects: Iterable[Mapping[str, Any]], run_tags: Iterable[str], skip_tags: Iterable[str]
) -> list[Mapping[str, Any]]:
    """Return the projects (`{tags, …}`) that --tags selects and --skip-tags does not skip, in order."""
    run, skip = set(run_tags), set(skip_tags)
    return [
        project
        for project in projects
        if run.intersection(["all", *project["tags"]]) and not skip.intersection(project["tags"])
    ]


def tag_findings(projects: Iterable[Mapping[str, Any]], run_tags: Iterable[str], skip_tags: Iterable[str]) -> list[str]:
    """Return findings about tags in --tags and --skip-tags that no project (`{tags, …}`) has.

    Ansible itself ignores unknown tags silently. A playbook without projects does not support tags.
    """
    known = list(dict.fromkeys(tag for project in projects for tag in project["tags"]))
    remedy = f"expected any of {', '.join(known)}" if known else "this playbook does not support tags; run it without"
    given = {"--tags": set(run_tags) - {"all"}, "--skip-tags": set(skip_tags) - _TAGS_OF_MOLECULE}
    return [
        f"{option} {','.join(unknown)}: unknown tag; {remedy}"
        for option, tags in given.items()
        if (unknown := sorted(tags.difference(known)))
    ]


def ports_of(ports: Iterable[Mapping[str, Any]], local: Services) -> list[dict[str, Any]]:
    """Return the ports of services `local` in the format of `host_plan`.

    A port is `{name, address, port, service}`, where `name` is the variable that sets it. It may be in use by the
    service's own container, and by `stopped_containers`, which a hook stops first.
    """
    return [
        {
            "port": int(port["port"]),
            "address": port["address"],
            "service": f"{port['service']} ({port['name']})",
            "of": port["service"],
            "containers": [local[port["service"]]["container_name"], *port.get("stopped_containers", [])],
        }
        for port in ports
        if port["service"] in local and int(port["port"]) > 0
    ]


def checks_of(checks: Iterable[Mapping[str, Any]], local: Services, first: bool) -> list[dict[str, Any]]:
    """Return the checks of `qinling.kolla.service_check` on a host: the containers of services `local`, then `checks`.

    A check runs on the hosts of its service; with `once`, only on the `first` one.
    """
    containers = [
        {"kind": "container", "service": name, "container": service["container_name"], "image": service["image"]}
        for name, service in local.items()
    ]
    return containers + items_for_host([check for check in checks if check["service"] in local], first)


def items_for_host(items: Iterable[Mapping[str, Any]], first: bool) -> list[dict[str, Any]]:
    """Return the items for a host without their key `once`; items with `once` are only for the `first` host."""
    return [
        {name: value for name, value in item.items() if name != "once"}
        for item in items
        if first or not item.get("once")
    ]
