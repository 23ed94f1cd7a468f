# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: passwords
short_description: Generate missing passwords
version_added: 0.1.0
description:
  - Sets each password that is missing or empty in the file, and leaves the rest of the file unchanged.
  - Always runs on the controller. The output never contains values.
  - The file is replaced atomically. A new file gets mode C(0600). If an existing file changes, other users lose access.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes
options:
  path:
    description: The file on the controller, usually C(passwords.yml). It is created if it does not exist.
    type: path
    required: true
  names:
    description:
      - The required passwords, each a name or a mapping of C(name) and C(kind).
      - The default kind V(password) has 40 letters and digits. V(uuid) is a random UUID, V(fernet) a Fernet key, and
        V(hmac) 64 hexadecimal digits.
    type: list
    elements: raw
    required: true
  given:
    description:
      - Optional files with existing passwords, which are not generated. The files are not changed and may be encrypted
        with ansible-vault.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
    description: Reports the passwords that would be generated.
  diff_mode:
    support: full
    description: Shows only names.
seealso:
  - module: qinling.kolla.precheck
"""

EXAMPLES = r"""
- name: Passwords | Generate missing passwords
  qinling.kolla.passwords:
    path: "{{ kolla_config_dir }}/passwords.yml"
    names:
      - qinling_database_password
      - qinling_keystone_password
      - {name: memcache_secret_key, kind: hmac}
  run_once: true

- name: Passwords | Generate passwords that passwords.yml does not contain, in a separate file
  qinling.kolla.passwords:
    path: "{{ kolla_config_dir }}/passwords-qinling.yml"
    given: ["{{ kolla_config_dir }}/passwords.yml"]
    names: [qinling_database_password, qinling_keystone_password]
  run_once: true
"""

RETURN = r"""
filled:
  description: Names of the generated passwords.
  returned: success
  type: list
  elements: str
created:
  description: Whether the file was created.
  returned: success
  type: bool
"""
