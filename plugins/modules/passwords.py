# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: passwords
short_description: Fill what is missing in the file of passwords
version_added: 0.1.0
description:
  - Gives a value to each password that is missing or empty in the file, and leaves every other character of it as it
    is.
  - Runs on the controller, whatever the host of the task. Values never appear in its output.
  - The file is replaced atomically. A new one gets mode C(0600); of an existing one that is changed, other users lose
    access.
author:
  - the qinling.kolla authors
options:
  path:
    description: The file on the controller, usually C(passwords.yml). It is created if there is none.
    type: path
    required: true
  names:
    description:
      - The passwords that need a value, each a name or a mapping of C(name) and C(kind).
      - The kind V(password), which is the default, has 40 letters and digits, V(uuid) is a random UUID, V(fernet) a key
        for Fernet, and V(hmac) 64 hexadecimal digits.
    type: list
    elements: raw
    required: true
  given:
    description:
      - Files whose passwords are there already, and are neither made nor written to. They may be encrypted with
        ansible-vault, and need not exist.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
    description: Tells which would be filled.
  diff_mode:
    support: full
    description: Shows names only.
"""

EXAMPLES = r"""
- name: Passwords | Fill what is missing
  qinling.kolla.passwords:
    path: "{{ kolla_config_dir }}/passwords.yml"
    names:
      - qinling_database_password
      - qinling_keystone_password
      - {name: memcache_secret_key, kind: hmac}
  run_once: true

- name: Passwords | Make what the operator's own file does not give, in a file beside it
  qinling.kolla.passwords:
    path: "{{ kolla_config_dir }}/passwords-qinling.yml"
    given: ["{{ kolla_config_dir }}/passwords.yml"]
    names: [qinling_database_password, qinling_keystone_password]
  run_once: true
"""

RETURN = r"""
filled:
  description: Names of the passwords that got a value.
  returned: success
  type: list
  elements: str
created:
  description: Whether there was no file before.
  returned: success
  type: bool
"""
