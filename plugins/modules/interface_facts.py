# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: interface_facts
short_description: Gather network interfaces and their addresses
version_added: 0.1.0
description:
  - Gathers the addresses that templates need with one command (C(ip) of iproute2). M(ansible.builtin.setup), which
    takes several times as long, is used only if the host does not have this command.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options: {}
seealso:
  - module: ansible.builtin.setup
"""

EXAMPLES = r"""
- name: Gather the addresses
  qinling.kolla.interface_facts:
"""

RETURN = r"""
ansible_facts:
  description:
    - One fact, C(qinling_interfaces), with an entry for each interface - its C(ipv4.address), and a list C(ipv6) with
      C(address) and C(scope). Other facts of the host are not changed.
  returned: success
  type: dict
  sample: {qinling_interfaces: {eth0: {ipv4: {address: 192.0.2.1}, ipv6: [{address: 2001:db8::1, scope: global}]}}}
"""
