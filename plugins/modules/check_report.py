# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: check_report
short_description: Show what was seen on all hosts, in one table
version_added: 0.1.0
description:
  - Shows the rows that M(qinling.kolla.service_check) returned on each host, and fails if any says that something is
    wrong. Runs on the controller.
author:
  - the qinling.kolla authors
options:
  hosts:
    description: The hosts, in their order. One without a result was not looked at, which is wrong as well.
    type: list
    elements: str
    required: true
  variable:
    description: Name of the variable in which each host has its result.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Check | Say what was seen
  qinling.kolla.check_report:
    hosts: "{{ ansible_play_hosts_all }}"
    variable: looked
  run_once: true
"""

RETURN = r"""
msg:
  description: What is wrong, one line each.
  returned: when anything is
  type: str
"""
