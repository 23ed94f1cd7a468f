# SPDX-License-Identifier: Apache-2.0
"""The documentation of each filter is in a file of its name, and describes the parameters of its function."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[3] / "plugins" / "filter"
PACKAGE = "ansible_collections.qinling.kolla.plugins.filter"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py"))


def filters_of(module: str) -> dict[str, Callable[..., Any]]:
    filters: dict[str, Callable[..., Any]] = importlib.import_module(f"{PACKAGE}.{module}").FilterModule().filters()
    return filters


FILTERS = {name: function for module in MODULES for name, function in filters_of(module).items()}


def documentation(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text("utf-8"))
    return content


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a filter in a template, without the context that Jinja2 passes."""
    return list(inspect.signature(function).parameters.values())[hasattr(function, "jinja_pass_arg") :]


@pytest.mark.parametrize("module", MODULES)
def test_modules_have_filters(module: str) -> None:
    assert filters_of(module)


def test_each_filter_has_a_file_of_its_name() -> None:
    assert FILTERS
    assert sorted(path.stem for path in FOLDER.glob("*.y*ml")) == sorted(FILTERS)


@pytest.mark.parametrize("name", FILTERS)
def test_header(name: str) -> None:
    header = documentation(name)["DOCUMENTATION"]
    assert header["name"] == name
    assert header["author"] == "the qinling.kolla authors (@qinling-kolla)"
    assert header["version_added"]
    assert header["short_description"]
    assert all(header["description"])


@pytest.mark.parametrize("name", FILTERS)
def test_options_are_the_parameters_of_the_function(name: str) -> None:
    header = documentation(name)["DOCUMENTATION"]
    options = header["options"]
    first, *others = parameters(FILTERS[name])
    names = [parameter.name for parameter in others]
    assert list(options) == ["_input", *names]
    assert header.get("positional", "") == ", ".join(names)
    for option, parameter in zip(options.values(), [first, *others], strict=True):
        required = parameter.default is inspect.Parameter.empty
        assert option.get("required", False) is required, parameter
        assert option.get("default") == (None if required else parameter.default), parameter
        assert option["type"]
        assert option["description"]


@pytest.mark.parametrize("name", FILTERS)
def test_examples_and_return_value(name: str) -> None:
    content = documentation(name)
    assert yaml.safe_load(content["EXAMPLES"])
    assert f"qinling.kolla.{name}" in content["EXAMPLES"]
    assert list(content["RETURN"]) == ["_value"]
    assert content["RETURN"]["_value"]["type"]
