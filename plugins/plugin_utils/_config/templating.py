# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's templating, uniform over the supported versions of ansible-core, with errors that name file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError

try:
    from ansible.template import trust_as_template as trust

    _TRUSTED: dict[str, Any] = {"trusted_as_template": True}
except ImportError:  # ansible-core before 2.19 trusts every text.
    _TRUSTED = {}

    def trust(value: str) -> str:
        return value


try:
    from ansible.template import AnsibleEnvironment
except ImportError:  # ansible-core since 2.19 has a single environment class.
    _ENVIRONMENT: dict[str, Any] = {}
else:
    # A file is text, even with jinja2_native.
    _ENVIRONMENT = {"environment_class": AnsibleEnvironment}


def render(templar: Any, variables: Mapping[str, Any], search_path: list[str], text: str, path: str) -> str:
    """Return a template with a path rendered; `search_path` has the directories for includes.

    Raise FindingsError with the line of the template if it can be determined.
    """
    folders = [str(Path(path).parent), *(f for base in search_path for f in (str(Path(base, "templates")), base))]
    copied = templar.copy_with_new_env(searchpath=folders, available_variables=variables, **_ENVIRONMENT)
    try:
        result = copied.template(trust(text), escape_backslashes=False)
    except Exception as error:
        raise FindingsError([explain(error, text, path)]) from error
    return "" if result is None else str(result)


def load(loader: Any, path: Path) -> dict[str, Any]:
    """Return the unevaluated variables of a file of this collection, an empty mapping if it does not exist.

    `loader` is Ansible's DataLoader.
    """
    return (loader.load_from_file(str(path), **_TRUSTED) or {}) if path.is_file() else {}


def value(templar: Any, name: str) -> Any:
    """Return the value of a variable. Raise Ansible's error if it is undefined.

    A string is evaluated directly: a reference to it would be another template to compile.
    """
    raw = templar.available_variables.get(name)
    return templar.template(raw if isinstance(raw, str) else trust("{{ " + name + " }}"))


@contextmanager
def variables_of(templar: Any, variables: Mapping[str, Any]) -> Iterator[Any]:
    """Use a templar with other variables within the context.

    A copy does not suffice: before ansible-core 2.19, lookups in a copy use the variables of the original.
    """
    original = templar.available_variables
    templar.available_variables = variables
    try:
        yield templar
    finally:
        templar.available_variables = original


def explain(error: BaseException, text: str, path: str) -> Finding:
    """Return a rendering error as a finding with the template's line; variables are not quoted."""
    try:
        jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=True).parse(text)
    except jinja2.TemplateSyntaxError as syntax:
        return Finding(path, syntax.lineno, f"not a valid template: {syntax.message}")
    chain = _chain(error)
    undefined = [link for link in chain if isinstance(link, jinja2.UndefinedError)]
    messages = [str(link).strip() for link in chain]
    message = next((text for text in reversed(messages) if "is undefined" in text or "has no attribute" in text), "")
    line = next((found for link in [*undefined, *chain] if (found := _line(link))), 0)
    name = re.search(r"'([A-Za-z_]\w*)' is undefined|no attribute '(\w+)'", message)
    if name and not line:
        pattern = re.compile(rf"(?<![\w']){re.escape(name.group(1) or name.group(2))}\b")
        line = next((number for number, row in enumerate(text.split("\n"), start=1) if pattern.search(row)), 0)
    # Older versions of ansible-core append the template itself.
    shown = (message or messages[0]).split(". String: ")[0].splitlines() or [type(error).__name__]
    return Finding(path, line, f"cannot be rendered: {shown[0].rstrip('.')}")


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in links:
        links.append(current)
        current = current.__cause__ or current.__context__
    return links


def _line(error: BaseException) -> int:
    """Return the line of the template that raised an error, or 0."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.lineno
    line = 0
    step = error.__traceback__
    while step is not None:
        names = step.tb_frame.f_globals
        if "__jinja_exception__" in names:  # Jinja2 has rewritten the traceback with the template's lines.
            line = step.tb_lineno
        elif isinstance(names.get("debug_info"), str):
            line = template_line(names["debug_info"], step.tb_lineno) or line
        step = step.tb_next
    return line


def template_line(debug_info: str, compiled: int) -> int:
    """Return the template's line for a line of compiled code; `debug_info` is Jinja2's map ``template=compiled&…``."""
    pairs = [pair.partition("=") for pair in debug_info.split("&") if pair]
    return max((int(own) for own, _equals, code in pairs if int(code) <= compiled), default=0)
