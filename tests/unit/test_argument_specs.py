# SPDX-License-Identifier: Apache-2.0
"""The argument_specs agree with the defaults, the globals with their checks, the page of variables with both."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

PROJECT = Path(__file__).resolve().parents[2]
OTHER_ENTRIES = {("settings", "globals"), ("service", "project"), ("service", "service")}
ROLES = sorted(path.parents[1].name for path in (PROJECT / "roles").glob("*/defaults/main.yml"))


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def entries(role: str) -> dict[str, Any]:
    """Return a role's entry points, without those of globals and projects: these are no defaults of the role."""
    specs = load(PROJECT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    return {name: spec for name, spec in specs.items() if (role, name) not in OTHER_ENTRIES}


def options_of(role: str) -> dict[str, dict[str, Any]]:
    return {name: option for spec in entries(role).values() for name, option in spec.get("options", {}).items()}


def defaults_of(role: str) -> dict[str, Any]:
    return load(PROJECT / "roles" / role / "defaults/main.yml")


def global_defaults() -> dict[str, Any]:
    return {
        name: value
        for path in (PROJECT / "group_vars/all").glob("*.yml")
        for name, value in load(path).items()
        if not name.startswith("__")
    }


def global_options() -> dict[str, dict[str, Any]]:
    specs = load(PROJECT / "roles/settings/meta/argument_specs.yml")["argument_specs"]
    options: dict[str, dict[str, Any]] = specs["globals"]["options"]
    return options


def templated(value: Any) -> bool:
    """Tell whether a default has a template in it, at any depth."""
    if isinstance(value, dict):
        return any(templated(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(templated, value))
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def differences(options: dict[str, dict[str, Any]], defaults: dict[str, Any]) -> list[str]:
    """Return where the specification of a default is another than the default, or is missing."""
    wrong = []
    for name, value in defaults.items():
        if name not in options or (templated(value) and "default" not in options[name]):
            continue
        if "default" not in options[name]:
            wrong.append(f"{name}: the specification has no default, the file has {value!r}")
        elif options[name]["default"] != value or isinstance(options[name]["default"], bool) != isinstance(value, bool):
            wrong.append(f"{name}: {options[name]['default']!r} in the specification, {value!r} in the file")
    return wrong


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_specified_and_the_other_way_round(role: str) -> None:
    optional = {name for name, option in options_of(role).items() if not option.get("required")}
    assert optional == set(defaults_of(role))


@pytest.mark.parametrize("role", ROLES)
def test_literal_defaults_are_the_same(role: str) -> None:
    assert not differences(options_of(role), defaults_of(role))


@pytest.mark.parametrize("role", ROLES)
def test_defaults_pass_the_check_themselves(role: str) -> None:
    options = options_of(role)
    literal = {name: value for name, value in defaults_of(role).items() if not templated(value)}
    result = ArgumentSpecValidator({name: options[name] for name in literal}).validate(
        literal, validate_role_argument_spec=True
    )
    assert not result.error_messages


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_described(role: str) -> None:
    for name, option in options_of(role).items():
        text = option["description"] if isinstance(option["description"], str) else " ".join(option["description"])
        assert text.strip().endswith("."), name
        assert "type" in option, name


def test_globals_are_checked() -> None:
    """Each global with a value of its own has its type checked; those that follow from others are only strings."""
    literal = {name for name, value in global_defaults().items() if not templated(value)}
    assert not literal - set(global_options())
    assert not set(global_options()) - set(global_defaults())
    assert not differences(global_options(), global_defaults())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"memcached_port": "abc"}, "memcached_port"),
        ({"enable_etcd": "maybe"}, "enable_etcd"),
        ({"qinling_backing_services": ["postgresql"]}, "qinling_backing_services"),
        ({"default_container_dimensions": "1G"}, "default_container_dimensions"),
        ({"kolla_action": "explode"}, "kolla_action"),
    ],
)
def test_a_wrong_type_is_named(given: dict[str, Any], words: str) -> None:
    messages = ArgumentSpecValidator(global_options()).validate(given, validate_role_argument_spec=True).error_messages
    assert len(messages) == 1
    assert words in messages[0]


def test_what_yaml_and_templates_make_of_values_passes() -> None:
    given = {"memcached_port": "11211", "enable_etcd": "yes", "enable_mariadb": "no", "enable_keystone": True}
    result = ArgumentSpecValidator(global_options()).validate(given, validate_role_argument_spec=True)
    assert not result.error_messages
    assert result.validated_parameters["memcached_port"] == 11211
    assert result.validated_parameters["enable_etcd"] is True


def test_the_actions_are_those_that_the_roles_know() -> None:
    site = load(PROJECT / "roles/site/vars/main.yml")
    actions, tasks = site["__site_actions"], load(PROJECT / "roles/service/vars/main.yml")["__service_tasks"]
    assert set(global_options()["kolla_action"]["choices"]) == {*actions, *site["__site_playbooks"]}
    assert {name for name, action in actions.items() if action.get("apply")} == set(tasks)
    assert set(options_of("service")["kolla_action"]["choices"]) == set(tasks)
    for path in tasks.values():
        assert (PROJECT / "roles/service/tasks" / path).is_file()


def test_each_action_is_a_playbook_and_a_command_of_make() -> None:
    """By the names of Kolla's commands (kolla_ansible/cli/commands.py)."""
    names = set(global_options()["kolla_action"]["choices"]) - {"precheck", "config"}
    playbooks = {path.stem for path in (PROJECT / "playbooks").glob("*.yml")}
    assert {name.replace("-", "_") for name in names} <= playbooks
    targets = set(re.findall(r"[\w-]+", (PROJECT / "Makefile").read_text(encoding="utf-8")))
    assert names <= targets


def expanded(value: Any, variables: dict[str, Any], seen: frozenset[str] = frozenset()) -> str:
    """Return the text of a default together with that of the variables that it refers to."""
    text = str(value)
    names = (set(re.findall(r"\b[a-z]\w+", text)) & set(variables)) - seen
    return " ".join([text, *(expanded(variables[name], variables, seen | names) for name in sorted(names))])


@pytest.mark.parametrize("role", ROLES)
def test_passwords_are_not_needed_where_none_is_used(role: str) -> None:
    """A role's main entry is checked on stop and destroy as well, which have to work without a passwords.yml."""
    variables = {**global_defaults(), **defaults_of(role)}
    for name in entries(role).get("main", {}).get("options", {}):
        assert not re.search(r"\b[a-z]\w*_password\b", expanded(variables.get(name, ""), variables)), name


def test_the_page_of_variables_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "docs/generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
