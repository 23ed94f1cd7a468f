# SPDX-License-Identifier: Apache-2.0
"""Generate docs/variables.md and docs/kolla-variables.md; with `--check`, only check whether they are up to date."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
VARIABLES = PROJECT / "docs" / "variables.md"
KOLLA = PROJECT / "docs" / "kolla-variables.md"

# Order of the roles in the page; other roles follow.
ROLES = (
    "qinling",
    "kubernetes_credentials",
    "image",
    "baremetal",
    "etcd",
    "mariadb",
    "rabbitmq",
    "memcached",
    "keystone",
    "service",
)

# Globals without argument_specs, because they are derived from others or contain passwords.
DERIVED = {
    "network_interface": "Interface whose address services listen on; empty: loopback.",
    "keystone_internal_fqdn": "Name or address in Keystone's internal endpoint.",
    "keystone_external_fqdn": "Name or address in Keystone's public endpoint.",
    "kolla_admin_openrc_cacert": "CA certificate file on the hosts, with which the playbooks verify endpoints.",
    "kolla_certificates_dir": "Directory of certificates on the controller; CA certificates in its subdirectory ca.",
    "om_rpc_user": "User of the message queue for RPC.",
    "om_rpc_password": "Password of the message queue for RPC.",
    "om_rpc_port": "Port of the message queue for RPC.",
    "om_notify_user": "User of the message queue for notifications.",
    "om_notify_password": "Password of the message queue for notifications.",
    "om_notify_port": "Port of the message queue for notifications.",
    "api_interface": "Interface whose address services listen on.",
    "api_interface_address": "Address that services listen on; loopback without a network_interface.",
    "kolla_internal_vip_address": "Address of the internal endpoints. With several hosts: virtual, or the first one.",
    "kolla_internal_fqdn": "Name or address in internal endpoints.",
    "kolla_external_vip_address": "Address of the public endpoints.",
    "kolla_external_fqdn": "Name or address in public endpoints.",
    "internal_protocol": "Protocol of internal endpoints.",
    "public_protocol": "Protocol of public endpoints.",
    "openstack_tag": "Tag of all images.",
    "docker_image_url": "Prefix of the names of images.",
    "qinling_runtime_python3_image_full": "Image of the runtime for functions in Python.",
    "keystone_internal_url": "Keystone's internal endpoint, without /v3.",
    "keystone_public_url": "Keystone's public endpoint, without /v3.",
    "openstack_auth": "Credentials of the playbooks for Keystone, as the administrator.",
    "database_address": "Host of the database.",
    "rpc_transport_url": "URL of the message queue, with user and password.",
    "notify_transport_url": "URL of the queue of notifications, with user and password.",
    "qinling_memcached_servers": "memcached servers as host:port.",
    "etcd_protocol": "Protocol of etcd.",
    "node_custom_config": "Directory of override files on the controller.",
    "node_config_directory": "Directory of configuration on the hosts.",
    "kolla_logs_volume": "Volume of the logs.",
}


def text_of(description: str | list[str]) -> str:
    """Return the description of an option in argument_specs as one line."""
    parts = [description] if isinstance(description, str) else description
    return " ".join(" ".join(parts).split())


def default_of(value: Any, alias: str = "") -> str:
    """Format a default for a cell of a table, without the fallback to `alias`; long defaults are not shown."""
    if alias:
        value = own_default(str(value), alias)
    if value == "":
        return "empty"
    shown = value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{shown}`" if len(shown) <= 60 else "see the file"


def own_default(value: str, alias: str) -> Any:
    """Return the default of a variable with an earlier name: {{ alias | default(this) }}."""
    found = re.fullmatch(rf"{{{{ {alias} \| default\((.*)\) }}}}", " ".join(value.split()))
    if not found:
        sys.exit(f"{value}: expected {{{{ {alias} | default(…) }}}}, because the earlier name is still supported")
    inner = found[1]
    return yaml.safe_load(inner) if re.fullmatch(r"\d+|\[\]|'[^']*'", inner) else f"{{{{ {inner} }}}}"


def cell(text: str) -> str:
    """Escape a text for a cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def table(options: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table of options."""
    aliases = {name: alias for alias, name in load(PROJECT / "roles/settings/meta/renamed_variables.yml").items()}
    yield "| variable | type | default | description |"
    yield "|---|---|---|---|"
    for name, option in options.items():
        kind = f"list of {option['elements']}" if "elements" in option else option.get("type", "str")
        alias = aliases.get(name, "")
        default = (
            default_of(defaults[name], alias) if name in defaults else "required" if option.get("required") else ""
        )
        choices = f" One of {', '.join(map(str, option['choices']))}." if "choices" in option else ""
        earlier = f" Earlier name: `{alias}`." if alias else ""
        yield f"| `{name}` | {kind} | {cell(default)} | {cell(text_of(option['description']) + choices + earlier)} |"


def load(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {})


def globals_lines() -> Iterator[str]:
    """Yield the lines about the files of group_vars/all."""
    checked = load(PROJECT / "roles/settings/meta/argument_specs.yml")["argument_specs"]["globals"]["options"]
    for path in sorted((PROJECT / "group_vars/all").glob("*.yml")):
        defaults = {name: value for name, value in load(path).items() if not name.startswith("__")}
        documented = {name: checked.get(name) or {"description": DERIVED[name]} for name in defaults}
        yield from ("", f"### `group_vars/all/{path.name}`", "", *table(documented, defaults))


def roles_lines() -> Iterator[str]:
    """Yield the lines about each role with argument_specs."""
    found = {path.parents[1].name: path for path in (PROJECT / "roles").glob("*/meta/argument_specs.yml")}
    for role in (*(name for name in ROLES if name in found), *sorted(found.keys() - set(ROLES))):
        defaults_file = PROJECT / "roles" / role / "defaults/main.yml"
        defaults = load(defaults_file) if defaults_file.exists() else {}
        for entry, spec in load(found[role])["argument_specs"].items():
            if (role, entry) == ("settings", "globals"):
                continue
            title = f"### Role {role}" + ("" if entry == "main" else f", {entry}")
            yield from ("", title, "", text_of(spec["description"]))
            if spec.get("options"):
                yield from ("", *table(spec["options"], defaults))


def page() -> str:
    """Return the text of variables.md."""
    head = [
        "# Variables",
        "",
        "Generated by `docs/generate.py` from the roles' `meta/argument_specs.yml` and defaults.",
        "Set variables in `globals.yml` of the operator's directory, or with `-e`. Booleans can be yes and no.",
        "",
        "## Globals: Kolla's names",
    ]
    return "\n".join([*head, *globals_lines(), "", "## Roles", *roles_lines()]) + "\n"


def users_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the roles, playbooks and globals whose files contain each of the variables."""
    texts: dict[str, str] = {}
    for path in sorted(PROJECT.glob("roles/*/[dtv]*/**/*")) + sorted(PROJECT.glob("playbooks/**/*.*")):
        if path.is_file() and path.suffix in {".yml", ".j2"}:
            where = path.relative_to(PROJECT).parts
            owner = f"role {where[1]}" if where[0] == "roles" else "playbooks"
            texts[owner] = texts.get(owner, "") + path.read_text(encoding="utf-8")
    # This filter composes the names of variables.
    texts["filter kolla_address"] = "api_interface api_address_family"
    texts["other globals"] = "".join(
        line.partition(":")[2] if not line.startswith((" ", "_", "{")) else line
        for path in sorted((PROJECT / "group_vars/all").glob("*.yml"))
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
    )
    words = {owner: set(re.findall(r"\w+", text)) for owner, text in texts.items()}
    return {name: [owner for owner, found in words.items() if name in found] for name in names}


def kolla_rows() -> Iterator[tuple[str, str, str]]:
    """Yield name, default and description of each variable with a name of Kolla."""
    named = load(PROJECT / "docs/kolla.yml")
    checked = load(PROJECT / "roles/settings/meta/argument_specs.yml")["argument_specs"]["globals"]["options"]
    entries = load(PROJECT / "roles/qinling/meta/argument_specs.yml")["argument_specs"].values()
    of_role = {name: option for entry in entries for name, option in entry.get("options", {}).items()}
    defaults = load(PROJECT / "roles/qinling/defaults/main.yml")
    for path in sorted((PROJECT / "group_vars/all").glob("*.yml")):
        for name, value in load(path).items():
            if name.startswith("__") or (name.startswith("qinling_") and name not in named["of_the_role"]):
                continue
            yield (
                name,
                default_of(value),
                text_of((checked.get(name) or {"description": DERIVED.get(name)})["description"]),
            )
    projects = load(PROJECT / "group_vars/all/projects.yml")["qinling_projects"]
    passwords = re.findall(r"\w+_(?:password|cookie|key)\b", str([project.get("passwords") for project in projects]))
    for password in dict.fromkeys(passwords):
        yield password, "`passwords.yml`", "Password or key of that name."
    for name in named["of_the_role"]:
        if name in defaults:
            yield name, default_of(defaults[name]), text_of(of_role[name]["description"])


def kolla_page() -> str:
    """Return the text of kolla-variables.md."""
    named = load(PROJECT / "docs/kolla.yml")
    rows = sorted(kolla_rows())
    users = users_of(name for name, _default, _text in rows)
    if unused := [name for name, found in users.items() if not found]:
        sys.exit(f"unused variables: {', '.join(unused)}; use them, or document the reason in docs/kolla.yml")
    lines = [
        "# Kolla's variables",
        "",
        "Generated by `docs/generate.py` from the roles' `meta/argument_specs.yml`, defaults, and `docs/kolla.yml`.",
        "The collection reads these variables from `globals.yml`, `globals.d/`, `passwords.yml` and the inventory.",
        "",
        "## Honoured",
        "",
        "| variable | default | description | used by |",
        "|---|---|---|---|",
        *(f"| `{name}` | {cell(default)} | {cell(text)} | {', '.join(users[name])} |" for name, default, text in rows),
        "",
        "## Not honoured",
        "",
        "Variables of Kolla's former role for Qinling (11.4), and of its roles for a similar service (22.2).",
        "",
        "| variable | reason |",
        "|---|---|",
        *(f"| `{name}` | {cell(why)} |" for name, why in sorted(named["not_honoured"].items())),
    ]
    return "\n".join(lines) + "\n"


PAGES = {VARIABLES: page, KOLLA: kolla_page}


def main(arguments: list[str]) -> int:
    """Write or check the pages, and return the exit status."""
    status = 0
    for target, generate in PAGES.items():
        if "--check" not in arguments:
            target.write_text(generate(), encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != generate():
            print(f"{target.relative_to(PROJECT)} is outdated; run python docs/generate.py", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
