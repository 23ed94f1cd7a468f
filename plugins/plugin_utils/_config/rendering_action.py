# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base class of actions that render files of services: reading and templating on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import is_secret_name
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import templating
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import Rendered, Source, render_services


def secrets_in(variables: Mapping[str, Any]) -> list[str]:
    """Return the literal values of a host's variables with secret names.

    Short values and templates are skipped: masking them would hide ordinary words.
    """
    values = (_text_of(value) for name, value in variables.items() if is_secret_name(str(name)))
    return sorted({value for value in values if len(value) >= 8 and "{{" not in value})


def _text_of(value: Any) -> str:
    """Return a variable's value if it is a string, decrypted if necessary, else an empty string."""
    if isinstance(value, str):
        return str.__str__(value)
    if not hasattr(value, "_ciphertext"):
        return ""
    try:
        return str(value)
    except AnsibleError:  # Without the vault password, no file can contain the value either.
        return ""


class RenderingAction(Action):
    """An action that renders the files of services."""

    def render(self, files: Mapping[str, Any], task_vars: Mapping[str, Any]) -> Rendered:
        """Return the files of services, rendered with all variables, and display warnings."""
        variables = {"ansible_managed": "Ansible managed", **task_vars}
        search_path = [str(path) for path in variables.get("ansible_search_path") or []]
        search_path.append(self._loader.get_basedir())

        def read(path: str) -> Source | None:
            file = Path(path).expanduser()
            return self._source(file) if file.is_file() else None

        def render(text: str, path: str, extra: Mapping[str, Any]) -> str:
            return templating.render(self._templar, {**variables, **extra}, search_path, text, path)

        rendered = render_services(files, read, render)
        for warning in dict.fromkeys(rendered.warnings):
            Display().warning(warning)
        return rendered

    def _source(self, path: Path) -> Source:
        try:
            # Decrypted in memory: get_real_file would write the plain text to a temporary file.
            content, was_plain = self._loader._get_file_contents(str(path))
        except AnsibleError as error:
            message = str(error).splitlines()[0]
            raise FindingsError([Finding(str(path), 0, f"cannot be read: {message}")]) from error
        return Source(str(path), bytes(content), not was_plain)
