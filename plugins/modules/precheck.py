# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: precheck
short_description: Report everything that is wrong with the input, at once, before anything is changed
version_added: 0.1.0
description:
  - Checks variables, the inventory, the operator's files and passwords on the controller, and the host, and fails with
    one message that lists every finding.
author:
  - the qinling.kolla authors
options:
  variables:
    description:
      - Expected variables by name, each the name of a type or a mapping of C(type), C(required) (default true),
        C(empty) (may be an empty string, list or mapping; default false), C(choices), C(min), C(max), C(pattern) and
        C(elements) (the type of a list's elements).
      - Types are any, bool, int, float, port, string, path, ip, url, list and dict.
    type: dict
    default: {}
  groups:
    description: Groups that have to be in the inventory and have a host, each C(group), C(service) and C(enabled).
    type: list
    elements: dict
    default: []
  files:
    description:
      - Files on the controller, each C(path), C(format) (ini, yaml, json, policy or text), C(required) (default false),
        C(orphans) (default true; whether an INI file may have options before any section) and C(render) (default true
        for ini, false for others; whether the file is a Jinja2 template, as Kolla's override files are).
    type: list
    elements: dict
    default: []
  passwords:
    description:
      - The file of passwords, as C(file), C(names) (that need a value) and C(hint) (what to do about missing ones).
    type: dict
  host:
    description: Options of M(qinling.kolla.host_check), which is called with them. Nothing is checked there without.
    type: dict
  findings:
    description: Findings from elsewhere, to be reported along with these.
    type: list
    elements: str
    default: []
  fail:
    description: Fail when there are findings. Without, they are only returned.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Precheck | Report everything that is wrong
  qinling.kolla.precheck:
    variables:
      qinling_api_port: port
      enable_qinling: bool
      qinling_orchestrator: {type: string, choices: [swarm, kubernetes]}
      qinling_extra_volumes: {type: list, elements: string, empty: true}
    groups:
      - {group: qinling-api, service: qinling-api, enabled: "{{ enable_qinling | bool }}"}
    files:
      - {path: "{{ kolla_config_dir }}/globals.yml", format: yaml}
      - {path: "{{ node_custom_config }}/qinling.conf", format: ini, orphans: false}
    passwords:
      file: "{{ kolla_config_dir }}/passwords.yml"
      names: [qinling_database_password, qinling_keystone_password]
      hint: run the playbook generate-passwords
    host:
      ports:
        - {port: "{{ qinling_api_port }}", address: 127.0.0.1, service: qinling-api, containers: [qinling_api]}
      containers: [qinling_api, qinling_engine]
"""

RETURN = r"""
findings:
  description: What is wrong, one text each.
  returned: always
  type: list
  elements: str
"""
