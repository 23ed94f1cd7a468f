# SPDX-License-Identifier: Apache-2.0
"""The argument_specs agree with the defaults and globals, and the page of variables with both."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from jinja2.nativetypes import NativeEnvironment

PROJECT = Path(__file__).resolve().parents[2]
OTHER_ENTRIES = {("settings", "globals"), ("service", "project"), ("service", "service")}
ROLES = sorted(path.parents[1].name for path in (PROJECT / "roles").glob("*/defaults/main.yml"))


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


RENAMED = load(PROJECT / "roles/settings/meta/renamed_variables.yml")


def entries(role: str) -> dict[str, Any]:
    """Return a role's entry points, without those of globals and projects, which are not defaults of the role."""
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
    """Return whether a default contains a template, at any depth."""
    if isinstance(value, dict):
        return any(templated(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(templated, value))
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def differences(options: dict[str, dict[str, Any]], defaults: dict[str, Any]) -> list[str]:
    """Return messages about specified defaults that differ from the defaults in the file, or are missing."""
    messages = []
    for name, raw in defaults.items():
        renamed = name in RENAMED.values() and "default" in options[name]
        value = NativeEnvironment().from_string(raw).render() if renamed else raw
        if name not in options or (templated(value) and "default" not in options[name]):
            continue
        if "default" not in options[name]:
            messages.append(f"{name}: the specification has no default, the file has {value!r}")
        elif options[name]["default"] != value or isinstance(options[name]["default"], bool) != isinstance(value, bool):
            messages.append(f"{name}: {options[name]['default']!r} in the specification, {value!r} in the file")
    return messages


@pytest.mark.parametrize("role", ROLES)
def test_options_and_defaults_have_the_same_names(role: str) -> None:
    optional = {name for name, option in options_of(role).items() if not option.get("required")}
    assert optional == set(defaults_of(role))


@pytest.mark.parametrize("role", ROLES)
def test_literal_defaults_equal_the_specified_defaults(role: str) -> None:
    assert not differences(options_of(role), defaults_of(role))


@pytest.mark.parametrize(("alias", "name"), RENAMED.items())
def test_deprecated_name_is_the_default_of_the_new_name(alias: str, name: str) -> None:
    """The default of a renamed variable is the value of its deprecated name if an operator sets it."""
    (default,) = [found[name] for found in (global_defaults(), *map(defaults_of, ROLES)) if name in found]
    environment = NativeEnvironment()
    # Used by the remaining default, which is not relevant.
    environment.filters["combine"] = lambda *_: None
    assert environment.from_string(default).render({alias: "set by the operator"}) == "set by the operator", name


@pytest.mark.parametrize("role", ROLES)
def test_literal_defaults_are_valid(role: str) -> None:
    options = options_of(role)
    literal = {name: value for name, value in defaults_of(role).items() if not templated(value)}
    result = ArgumentSpecValidator({name: options[name] for name in literal}).validate(
        literal, validate_role_argument_spec=True
    )
    assert not result.error_messages


@pytest.mark.parametrize("role", ROLES)
def test_options_have_description_and_type(role: str) -> None:
    for name, option in options_of(role).items():
        text = option["description"] if isinstance(option["description"], str) else " ".join(option["description"])
        assert text.strip().endswith("."), name
        assert "type" in option, name


def test_literal_globals_are_specified() -> None:
    """Globals with a literal default have a specified type; templated defaults are only strings."""
    literal = {name for name, value in global_defaults().items() if not templated(value)}
    assert not literal - set(global_options())
    assert not set(global_options()) - set(global_defaults())
    assert not differences(global_options(), global_defaults())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"memcached_port": "abc"}, "memcached_port"),
        ({"enable_etcd": "maybe"}, "enable_etcd"),
        ({"qinling_backing_services": ["postgresql"]}, "qinling_backing_services"),
        ({"default_container_dimensions": "1G"}, "default_container_dimensions"),
        ({"kolla_action": "explode"}, "kolla_action"),
    ],
)
def test_invalid_value_is_reported(values: dict[str, Any], words: str) -> None:
    messages = ArgumentSpecValidator(global_options()).validate(values, validate_role_argument_spec=True).error_messages
    assert len(messages) == 1
    assert words in messages[0]


def test_string_values_of_other_types_are_valid() -> None:
    values = {"memcached_port": "11211", "enable_etcd": "yes", "enable_mariadb": "no", "enable_keystone": True}
    result = ArgumentSpecValidator(global_options()).validate(values, validate_role_argument_spec=True)
    assert not result.error_messages
    assert result.validated_parameters["memcached_port"] == 11211
    assert result.validated_parameters["enable_etcd"] is True


def test_actions_equal_those_of_the_roles() -> None:
    site = load(PROJECT / "roles/site/vars/main.yml")
    actions, tasks = site["__site_actions"], load(PROJECT / "roles/service/vars/main.yml")["__service_tasks"]
    assert set(global_options()["kolla_action"]["choices"]) == {*actions, *site["__site_playbooks"]}
    assert {name for name, action in actions.items() if action.get("apply")} == set(tasks)
    assert set(options_of("service")["kolla_action"]["choices"]) == set(tasks)
    for path in tasks.values():
        assert (PROJECT / "roles/service/tasks" / path).is_file()


def test_actions_are_playbooks_and_make_targets() -> None:
    """The names are those of Kolla's commands (kolla_ansible/cli/commands.py)."""
    names = sorted(set(global_options()["kolla_action"]["choices"]) - {"precheck", "config"})
    playbooks = [name.replace("-", "_") for name in names]
    assert set(playbooks) <= {path.stem for path in (PROJECT / "playbooks").glob("*.yml")}
    done = subprocess.run(["make", "--dry-run", *names], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # `make deploy` also installs the engine, builds the images and calls a function.
    expected = ["all_in_one" if name == "deploy" else name for name in playbooks]
    assert re.findall(r"\bansible-playbook .* playbooks/(\w+)\.yml$", done.stdout, re.MULTILINE) == expected


def expanded(value: Any, variables: dict[str, Any], seen: frozenset[str] = frozenset()) -> str:
    """Return the text of a default, followed by the texts of the variables that it refers to."""
    text = str(value)
    names = (set(re.findall(r"\b[a-z]\w+", text)) & set(variables)) - seen
    return " ".join([text, *(expanded(variables[name], variables, seen | names) for name in sorted(names))])


@pytest.mark.parametrize("role", ROLES)
def test_options_of_main_do_not_need_passwords(role: str) -> None:
    """A role's main entry point is also validated on stop and destroy, which must work without passwords.yml."""
    variables = {**global_defaults(), **defaults_of(role)}
    for name in entries(role).get("main", {}).get("options", {}):
        assert not re.search(r"\b[a-z]\w*_password\b", expanded(variables.get(name, ""), variables)), name


@pytest.mark.parametrize("program", ["generate.py", "architecture.py"])
def test_generated_documentation_is_up_to_date(program: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "docs" / program), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
