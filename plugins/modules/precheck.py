# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: precheck
short_description: Report everything that is wrong with the input, at once, before anything is changed
version_added: 0.1.0
description:
  - Checks variables, the inventory, the operator's files and passwords on the controller, and fails with one message
    that lists every finding, those from elsewhere included. What is wrong on a host tells M(qinling.kolla.survey).
author:
  - the qinling.kolla authors
options:
  variables:
    description:
      - Expected variables by name, each the name of a type or a mapping of C(type), C(required) (default true),
        C(empty) (may be an empty string, list or mapping; default false), C(choices), C(min), C(max), C(pattern) with
        C(called) (for the message), C(schemes) (of a url), C(elements) (what a list's elements are to be), C(unique)
        (the key by which they differ) and C(options) (what a mapping's values are to be).
      - Types are any, bool, int, float, port, string, text, path, ip, host, server, cidr, ipv4_cidr, url, list and
        dict.
    type: dict
    default: {}
  files:
    description:
      - Files on the controller that may be absent, each C(path) and C(format) (ini, yaml, policy or text). A file with
        C(format=ini) is a Jinja2 template, as Kolla's override files are.
    type: list
    elements: dict
    default: []
  findings:
    description: Findings from elsewhere, to be reported along with these.
    type: list
    elements: str
    default: []
  input:
    description:
      - Everything that an operator writes, compared with what the roles of this collection say of themselves in
        C(meta/argument_specs.yml), C(defaults/main.yml), C(meta/input_rules.yml) and C(files/policy.yaml), with
        findings by file and line. With O(fail=false), it still fails if templates cannot be rendered with the input.
    type: dict
    suboptions:
      globals:
        description: The operator's files of variables, read already.
        type: list
        elements: path
        required: true
      passwords:
        description: The operator's file of passwords, read already.
        type: path
        required: true
      hint:
        description: What to do about missing passwords.
        type: str
      passwords_needed:
        description: Whether passwords are looked at.
        type: bool
        default: true
      overrides:
        description: The operator's folder of override files.
        type: path
        required: true
      all:
        description: Whether to look at more than the host's variables. One host is enough for that.
        type: bool
        default: true
  warnings:
    description: What is worth a warning, and nothing more.
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
    files:
      - {path: "{{ kolla_config_dir }}/globals.yml", format: yaml}
      - {path: "{{ node_custom_config }}/qinling.conf", format: ini}
"""

RETURN = r"""
findings:
  description: What is wrong, one text each.
  returned: always
  type: list
  elements: str
"""
