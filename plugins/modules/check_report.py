# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: check_report
short_description: Report the results of checks on all hosts
version_added: 0.1.0
description:
  - Shows the results of M(qinling.kolla.service_check) on each host in one table, and fails if any check has failed.
  - Runs on the controller.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - cryptography, in Ansible's Python environment on the controller
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options:
  hosts:
    description: The hosts, in the order of the report. A host without a result counts as failed.
    type: list
    elements: str
    required: true
  variable:
    description: Name of the variable that holds the result on each host.
    type: str
    required: true
seealso:
  - module: qinling.kolla.service_check
"""

EXAMPLES = r"""
- name: Check | Report the results of all hosts
  qinling.kolla.check_report:
    hosts: "{{ ansible_play_hosts_all }}"
    variable: checks
  run_once: true
"""

RETURN = r"""
msg:
  description: The failed checks, one line each.
  returned: when a check has failed
  type: str
"""
