# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for addresses: Kolla's `kolla_address` and `put_address_in_context`, and filters built on them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.qinling.kolla.plugins.plugin_utils._common import interfaces
from jinja2 import Undefined, UndefinedError, pass_context
from jinja2.runtime import Context

_CONTEXTS = ("url", "memcache", "rabbitmq")


def address_of(host: Mapping[str, Any], hostname: str, network: str) -> str:
    """Return a host's address on a network, from the host's variables.

    `<network>_interface` names the interface; `<network>_address_family` (default: `network_address_family`, then ipv4)
    selects the address in the facts. For IPv6, it is the first global address that is not the virtual address of a
    load balancer.
    """
    interface = _of(host, f"{network}_interface") or _of(host, "network_interface")
    if not interface:
        raise AnsibleFilterError(f"host {hostname}: set {network}_interface to the interface of network {network}")
    family = str(_of(host, f"{network}_address_family") or _of(host, "network_address_family") or "ipv4").lower()
    if family not in ("ipv4", "ipv6"):
        raise AnsibleFilterError(f"host {hostname}: {network}_address_family is {family!r}; expected ipv4 or ipv6")
    facts = _of(host, "ansible_facts") or {}
    # From interface_facts in this run, or from facts gathered by Ansible.
    host_interfaces = facts.get("qinling_interfaces") or interfaces.from_facts(facts)
    if not host_interfaces:
        raise AnsibleFilterError(
            f"host {hostname}: its address on {interface} is unknown, as its facts are missing; start the host, "
            f"or set {network}_interface_address for it in the inventory"
        )
    found = host_interfaces.get(str(interface))
    if found is None:
        raise AnsibleFilterError(
            f"host {hostname}: {network}_interface is {interface}, which is not among its interfaces "
            f"({', '.join(host_interfaces)})"
        )
    address = _ipv4(found) if family == "ipv4" else _ipv6(found, _virtual_addresses(host))
    if not address:
        raise AnsibleFilterError(
            f"host {hostname}: interface {interface} of network {network} has no {family} address; set another "
            f"{network}_interface or {network}_address_family"
        )
    return address


def _of(host: Mapping[str, Any], name: str) -> Any:
    value = host.get(name)
    return None if isinstance(value, Undefined) else value


def _ipv4(facts: Mapping[str, Any]) -> str:
    return str((facts.get("ipv4") or {}).get("address") or "")


def _ipv6(facts: Mapping[str, Any], virtual: set[str]) -> str:
    addresses = [item["address"] for item in facts.get("ipv6") or [] if item.get("scope") == "global"]
    return str(next((address for address in addresses if address not in virtual), ""))


def _virtual_addresses(host: Mapping[str, Any]) -> set[str]:
    if not boolean(_of(host, "enable_haproxy") or False, strict=False):
        return set()
    return {str(_of(host, name)) for name in ("kolla_internal_vip_address", "kolla_external_vip_address")}


class _Variables(Mapping[str, Any]):
    """A mapping of a host's variables with the expression's context as fallback; an undefined variable is None.

    Facts have no fallback.
    """

    def __init__(self, context: Context, host: Mapping[str, Any] | None = None) -> None:
        self._context = context
        self._host = host

    def __getitem__(self, name: str) -> Any:
        own = _of(self._host, name) if self._host is not None else None
        fallback = None if self._host is not None and name == "ansible_facts" else self._context.get(name)
        return own if own is not None else fallback

    def __iter__(self) -> Iterator[str]:
        return iter({**self._context.get_all(), **(self._host or {})})

    def __len__(self) -> int:
        return len(list(iter(self)))


@pass_context
def kolla_address(context: Context, network: str, hostname: str | None = None) -> str:
    """Return a host's address on a network.

    Without `hostname`, this is the address of the current host's interface. With `hostname`, it is that host's
    `<network>_interface_address`, or the address of its interface where `hostvars` lacks this variable: in a play
    without group_vars, it is a default of a role.
    """
    current = context.get("inventory_hostname")
    name = hostname or current
    hostvars = context.get("hostvars")
    if name is None or isinstance(name, Undefined):
        raise AnsibleFilterError("kolla_address: inventory_hostname and hostvars must be defined")
    if hostvars is None or isinstance(hostvars, Undefined):
        # hostvars[host].api_interface_address is evaluated with that host's variables, which lack hostvars.
        if name != current:
            raise AnsibleFilterError("kolla_address: inventory_hostname and hostvars must be defined")
        return address_of(_Variables(context), name, network)
    host = hostvars.get(name)
    if host is None or isinstance(host, Undefined):
        raise AnsibleFilterError(f"kolla_address: host {name} is not in the inventory")
    variables = _Variables(context, host)
    if hostname:
        variable = f"{network}_interface_address"
        if own := _of(host, variable):
            return str(own)
        if not (variables[f"{network}_interface"] or variables["network_interface"]):
            # A default; if the play has set it instead, it is an address of the current host.
            address = str(variables[variable])
            if name != current and not _is_loopback(address):
                raise AnsibleFilterError(f"host {name}: its address is unknown; set {variable} for it in the inventory")
            return address
    return address_of(variables, name, network)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@pass_context
def kolla_addresses(context: Context, hosts: Iterable[str], network: str) -> list[str]:
    """Return the addresses of hosts on a network."""
    return [kolla_address(context, network, host) for host in hosts]


@pass_context
def hosts_without_address(context: Context, hosts: Iterable[str]) -> list[str]:
    """Return the hosts whose API address is unknown because their facts are missing."""
    return [host for host in hosts if not _has_address(context, host)]


def _has_address(context: Context, host: str) -> bool:
    try:
        return bool(kolla_address(context, "api", host))
    except (AnsibleError, KeyError, UndefinedError):
        return False


def put_address_in_context(address: str, context: str) -> str:
    """Return an address or host name in the notation of a context: url, memcache or rabbitmq.

    URLs and memcached need brackets around IPv6 addresses; RabbitMQ's Erlang writes addresses with commas.
    """
    if context not in _CONTEXTS:
        raise AnsibleFilterError(f"put_address_in_context: expected one of {', '.join(_CONTEXTS)}, not {context!r}")
    if context == "rabbitmq":
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError as error:
            raise AnsibleFilterError(f"put_address_in_context: {address!r} is not an IP address") from error
        if parsed.version == 6:
            return ",".join(f"16#{int(group, 16):x}" for group in parsed.exploded.split(":"))
        return address.replace(".", ",")
    if ":" not in address:
        return address
    return f"[{address}]" if context == "url" else f"inet6:[{address}]"


def transport_url(
    hosts: Iterable[str], user: str, password: str | int, port: int | str, vhost: str = "/", transport: str = "rabbit"
) -> str:
    """Return the transport URL of oslo.messaging for the brokers on `hosts`."""
    # Since ansible-core 2.19, an unquoted password of digits is an integer.
    login = f"{quote(str(user), safe='')}:{quote(str(password), safe='')}"
    members = ",".join(f"{login}@{put_address_in_context(host, 'url')}:{port}" for host in hosts)
    return f"{transport}://{members}/{vhost}"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "hosts_without_address": hosts_without_address,
            "kolla_address": kolla_address,
            "kolla_addresses": kolla_addresses,
            "put_address_in_context": put_address_in_context,
            "transport_url": transport_url,
        }
