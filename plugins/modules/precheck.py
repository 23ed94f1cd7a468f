# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: precheck
short_description: Validate variables, inventory, configuration files and passwords
version_added: 0.1.0
description:
  - Checks variables, the inventory, the operator's files and passwords on the controller, and fails with one message
    that lists all findings, including O(findings). M(qinling.kolla.plan) checks the hosts.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options:
  variables:
    description:
      - Expected variables by name, each the name of a type or a mapping of C(type), C(required) (default true),
        C(empty) (an empty string, list or mapping is valid; default false), C(choices), C(min), C(max), C(pattern) with
        C(called) (its name in messages), C(schemes) (of a url), C(elements) (type of a list's elements), C(unique) (key
        that has to be unique in a list) and C(options) (types of a mapping's values).
      - Types are any, bool, int, float, port, string, text, path, ip, host, server, cidr, ipv4_cidr, url, list and
        dict.
    type: dict
    default: {}
  files:
    description:
      - Optional files on the controller.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      format:
        description: Its format. A file with V(ini) is a Jinja2 template, like Kolla's override files.
        type: str
        choices: [ini, yaml, policy, text]
        required: true
  findings:
    description: Findings of other checks, which are included in the report.
    type: list
    elements: str
    default: []
  input:
    description:
      - The operator's files, which are validated against C(meta/argument_specs.yml), C(defaults/main.yml),
        C(meta/input_rules.yml) and C(files/policy.yaml) of the roles of this collection. Findings contain file and
        line. Even with O(fail=false), the module fails if templates cannot be rendered with the input.
    type: dict
    suboptions:
      globals:
        description: The operator's files of variables, which are already loaded.
        type: list
        elements: path
        required: true
      passwords:
        description: The operator's file of passwords, which is already loaded.
        type: path
        required: true
      hint:
        description: Advice for missing passwords, for the message.
        type: str
      passwords_needed:
        description: Whether passwords are checked.
        type: bool
        default: true
      overrides:
        description: The operator's directory of override files.
        type: path
        required: true
      all:
        description: Whether to check more than the host's variables. This is needed for only one host.
        type: bool
        default: true
  warnings:
    description: Warnings of other checks.
    type: list
    elements: str
    default: []
  fail:
    description: Whether to fail if there are findings. With V(false), they are only returned.
    type: bool
    default: true
seealso:
  - module: qinling.kolla.plan
"""

EXAMPLES = r"""
- name: Precheck | Report all findings
  qinling.kolla.precheck:
    variables:
      qinling_api_port: port
      enable_qinling: bool
      qinling_orchestrator: {type: string, choices: [swarm, kubernetes]}
      qinling_extra_volumes: {type: list, elements: string, empty: true}
    files:
      - {path: "{{ kolla_config_dir }}/globals.yml", format: yaml}
      - {path: "{{ node_custom_config }}/qinling.conf", format: ini}
"""

RETURN = r"""
findings:
  description: The findings, one text each.
  returned: always
  type: list
  elements: str
"""
