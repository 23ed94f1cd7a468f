#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/variables.md from the argument_specs and the globals; `--check` only tells whether it is current."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
TARGET = PROJECT / "docs" / "variables.md"

# In the order in which a reader looks for them; roles that are not named follow.
ROLES = (
    "qinling",
    "kubernetes_credentials",
    "image",
    "bootstrap",
    "etcd",
    "mariadb",
    "rabbitmq",
    "memcached",
    "keystone",
    "service",
)

# Globals that follow from others, or hold passwords: nothing checks their type, so no argument_specs name them.
DERIVED = {
    "network_interface": "Interface whose address services listen on; empty: loopback.",
    "keystone_internal_fqdn": "Name or address in Keystone's internal endpoint.",
    "keystone_external_fqdn": "Name or address in Keystone's public endpoint.",
    "kolla_admin_openrc_cacert": "CA certificate file that the playbooks verify endpoints with, on the hosts.",
    "kolla_certificates_dir": "Certificates on the controller; CA certificates in its folder ca.",
    "om_rpc_user": "User of calls at the queue.",
    "om_rpc_password": "Password of calls at the queue.",
    "om_rpc_port": "Port of calls at the queue.",
    "om_notify_user": "User of notifications at the queue.",
    "om_notify_password": "Password of notifications at the queue.",
    "om_notify_port": "Port of notifications at the queue.",
    "api_interface": "Interface whose address services listen on.",
    "api_interface_address": "Address that services listen on; loopback without a network_interface.",
    "kolla_internal_vip_address": "Address of the internal endpoints. With several hosts: virtual, or the first one.",
    "kolla_internal_fqdn": "Name or address in internal endpoints.",
    "kolla_external_vip_address": "Address of the public endpoints.",
    "kolla_external_fqdn": "Name or address in public endpoints.",
    "internal_protocol": "Protocol of internal endpoints.",
    "public_protocol": "Protocol of public endpoints.",
    "openstack_tag": "Tag of all images.",
    "docker_image_url": "What stands before the name of each image.",
    "qinling_runtime_python3_image_full": "Image of the runtime for functions in Python.",
    "keystone_internal_url": "Keystone's internal endpoint, without /v3.",
    "keystone_public_url": "Keystone's public endpoint, without /v3.",
    "openstack_auth": "How the playbooks log in to Keystone, as the administrator.",
    "database_address": "Host of the database.",
    "rpc_transport_url": "Where the queue is, with user and password.",
    "notify_transport_url": "Where notifications go, with user and password.",
    "qinling_memcached_servers": "Members of memcached as host:port.",
    "etcd_protocol": "Protocol of etcd.",
    "node_custom_config": "Where override files are read on the controller.",
    "node_config_directory": "Where configuration is kept on the hosts.",
    "kolla_logs_volume": "Volume that holds the logs.",
}


def text_of(description: str | list[str]) -> str:
    """Takes a description of an argument_specs option, returns it on one line."""
    parts = [description] if isinstance(description, str) else description
    return " ".join(" ".join(parts).split())


def default_of(value: Any) -> str:
    """Takes a default as its file has it, returns it for a table's cell: long ones are not repeated."""
    if value == "":
        return "empty"
    shown = value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{shown}`" if len(shown) <= 60 else "see the file"


def cell(text: str) -> str:
    """Takes a text, returns it so that it does not end a table's cell."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def table(options: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> Iterator[str]:
    """Takes options and defaults, returns the lines of a table."""
    yield "| variable | type | default | what it is |"
    yield "|---|---|---|---|"
    for name, option in options.items():
        kind = f"list of {option['elements']}" if "elements" in option else option.get("type", "str")
        default = default_of(defaults[name]) if name in defaults else "required" if option.get("required") else ""
        choices = f" One of {', '.join(map(str, option['choices']))}." if "choices" in option else ""
        yield f"| `{name}` | {kind} | {cell(default)} | {cell(text_of(option['description']) + choices)} |"


def load(path: Path) -> dict[str, Any]:
    """Takes the path of a YAML file, returns its mapping."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def globals_lines() -> Iterator[str]:
    """Returns the lines about the files of group_vars/all."""
    checked = load(PROJECT / "roles/service/meta/argument_specs.yml")["argument_specs"]["prechecks"]["options"]
    for path in sorted((PROJECT / "group_vars/all").glob("*.yml")):
        defaults = {name: value for name, value in load(path).items() if not name.startswith("__")}
        known = {name: checked.get(name) or {"description": DERIVED[name]} for name in defaults}
        yield from ("", f"### `group_vars/all/{path.name}`", "", *table(known, defaults))


def roles_lines() -> Iterator[str]:
    """Returns the lines about each role that has both argument_specs and defaults."""
    found = {path.parents[1].name: path for path in (PROJECT / "roles").glob("*/meta/argument_specs.yml")}
    for role in (*(name for name in ROLES if name in found), *sorted(found.keys() - set(ROLES))):
        defaults_file = PROJECT / "roles" / role / "defaults/main.yml"
        defaults = load(defaults_file) if defaults_file.exists() else {}
        for entry, spec in load(found[role])["argument_specs"].items():
            if (role, entry) == ("service", "prechecks"):
                continue
            title = f"### Role {role}" + ("" if entry == "main" else f", {entry}")
            yield from ("", title, "", text_of(spec["description"]))
            if spec.get("options"):
                yield from ("", *table(spec["options"], defaults))


def page() -> str:
    """Returns the whole page."""
    head = [
        "# Variables",
        "",
        "Made by `docs/generate.py` from the roles' `meta/argument_specs.yml` and defaults; change those and run it.",
        "Set variables in `globals.yml` of the operator's directory, or by `-e`. Booleans may be yes and no.",
        "",
        "## Globals: Kolla's names",
    ]
    return "\n".join([*head, *globals_lines(), "", "## Roles", *roles_lines()]) + "\n"


def main(arguments: list[str]) -> int:
    """Takes the command line's arguments, returns the exit status."""
    if "--check" in arguments:
        if TARGET.exists() and TARGET.read_text(encoding="utf-8") == page():
            return 0
        print(f"{TARGET.relative_to(PROJECT)} is not current: run docs/generate.py", file=sys.stderr)
        return 1
    TARGET.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
