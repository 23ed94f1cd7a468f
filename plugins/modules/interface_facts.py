# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: interface_facts
short_description: Learn a host's interfaces and their addresses
version_added: 0.1.0
description:
  - Learns by one short command (C(ip), of iproute2) what templates want to know of a host. Gathering the same facts
    with M(ansible.builtin.setup) takes several times as long, and is done only where there is no such command.
author:
  - the qinling.kolla authors
options: {}
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Learn the addresses
  qinling.kolla.interface_facts:
"""

RETURN = r"""
ansible_facts:
  description:
    - One fact, C(qinling_interfaces), with an entry for each interface, of which C(ipv4.address), and of each of
      C(ipv6) C(address) and C(scope). Other facts of the host stay as they are.
  returned: success
  type: dict
  sample: {qinling_interfaces: {eth0: {ipv4: {address: 192.0.2.1}, ipv6: [{address: 2001:db8::1, scope: global}]}}}
"""
