# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Renders the files of services on the controller and hands them to the module of the same name in one call."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.module_utils.masking import hide, is_secret_name, literals
from ansible_collections.qinling.kolla.plugins.plugin_utils import templating
from ansible_collections.qinling.kolla.plugins.plugin_utils.action_base import Action, option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils.rendering import (
    Rendered,
    Source,
    plain,
    render_services,
    truth,
)

_OPTIONS = frozenset({"root", "owner", "group", "custom_config", "secrets", "render_only", "services"})


def pack(rendered: Rendered, secrets: list[str]) -> str:
    """Takes rendered services and secret values, returns them as the module takes them: binary-safe and opaque."""
    data = {
        "services": {
            name: [
                {
                    "path": file.path,
                    "mode": file.mode,
                    "content": base64.b64encode(file.content).decode("ascii"),
                    "secret": file.secret,
                }
                for file in files
            ]
            for name, files in rendered.services.items()
        },
        "disabled": rendered.disabled,
        "secrets": secrets,
    }
    return base64.b64encode(zlib.compress(json.dumps(data).encode())).decode("ascii")


def secrets_in(variables: Mapping[str, Any]) -> list[str]:
    """Takes a host's variables, returns the literal values of those whose names say that they are secret.

    Short values and templates are left out: they would hide ordinary words.
    """
    values = (_text_of(value) for name, value in variables.items() if is_secret_name(str(name)))
    return sorted({value for value in values if len(value) >= 8 and "{{" not in value})


def _text_of(value: Any) -> str:
    """Takes a variable's value, returns it if it is a string or one that ansible-vault has encrypted, else nothing."""
    if isinstance(value, str):
        return str.__str__(value)
    if not hasattr(value, "_ciphertext"):
        return ""
    try:
        return str(value)
    except AnsibleError:  # Its vault's password is not there: then no file can hold it either.
        return ""


class ActionModule(Action):
    """Thin glue between Ansible and `rendering`."""

    _supports_diff = True

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        variables = {"ansible_managed": "Ansible managed", **task_vars}
        self._check_options(args)

        secrets = [plain(secret) for secret in args.get("secrets") or []] + secrets_in(variables)
        rendered = self._render(args, variables)
        for warning in dict.fromkeys(rendered.warnings):
            Display().warning(warning)
        # What a filter says about a value it can not take may hold the value.
        spellings = literals(secrets)
        result["findings"] = [hide(str(finding), spellings) for finding in dict.fromkeys(rendered.findings)]
        if truth(args.get("render_only", False)):
            result["changed"] = False
            return result
        if result["findings"]:
            result["failed"] = True
            result["msg"] = "\n- ".join(
                ["Nothing was changed. The configuration can not be made:", *result["findings"]]
            )
            return result
        del result["findings"]

        module_args = {
            "root": args["root"],
            "owner": args.get("owner"),
            "group": args.get("group"),
            "payload": pack(rendered, secrets),
        }
        result.update(self._execute_module("qinling.kolla.configuration", module_args=module_args, task_vars=task_vars))
        return result

    def _check_options(self, args: Mapping[str, Any]) -> None:
        problems = option_problems(args, _OPTIONS, ("root", "services"))
        if args.get("services") and not isinstance(args["services"], Mapping):
            problems.append("services has to be a mapping of names to services")
        if not isinstance(args.get("secrets") or [], list):
            problems.append("secrets has to be a list")
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.configuration: {'; '.join(problems)}")

    def _render(self, args: Mapping[str, Any], variables: dict[str, Any]) -> Rendered:
        custom = Path(str(args["custom_config"])).expanduser() if args.get("custom_config") else None
        search_path = [str(path) for path in variables.get("ansible_search_path") or []]
        search_path.append(self._loader.get_basedir())

        def read(path: str, kind: str) -> Source | None:
            found = self._find(path, kind, custom)
            return self._source(found) if found else None

        def render(text: str, path: str, extra: Mapping[str, Any]) -> str:
            return templating.render(self._templar, {**variables, **extra}, search_path, text, path)

        return render_services(args["services"], read, render)

    def _find(self, path: str, kind: str, custom: Path | None) -> Path | None:
        plain_path = Path(path).expanduser()
        if plain_path.is_absolute():
            return plain_path if plain_path.is_file() else None
        if kind in {"overrides", "files"} and custom and (custom / plain_path).is_file():
            return custom / plain_path
        if kind == "overrides":
            return None
        try:
            return Path(self._find_needle(kind, path))
        except AnsibleError:
            return None

    def _source(self, path: Path) -> Source:
        try:
            # Decrypted in memory: get_real_file would leave the plain text in a temporary file for a while.
            content, was_plain = self._loader._get_file_contents(str(path))
        except AnsibleError as error:
            message = str(error).splitlines()[0]
            raise FindingsError([Finding(str(path), 0, f"can not be read: {message}")]) from error
        return Source(str(path), bytes(content), not was_plain)
