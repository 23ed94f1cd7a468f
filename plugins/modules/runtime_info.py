# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime_info
short_description: List Qinling's runtimes
version_added: 0.1.0
description:
  - Logs in and lists the runtimes that the user sees.
author:
  - the qinling.kolla authors
extends_documentation_fragment:
  - qinling.kolla.qinling_api
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Check | List the runtimes
  qinling.kolla.runtime_info:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
  register: listed
"""

RETURN = r"""
runtimes:
  description: The runtimes, as Qinling tells of them.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 2f5b8a2e-6f0e-4d4a-b6c0-1f2d3c4b5a69
      name: python3
      image: qinling/qinling-runtime-python3:victoria
      status: available
      trusted: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils.qinling_api import ARGUMENTS, finish


def main() -> None:
    module = AnsibleModule(argument_spec=dict(ARGUMENTS), supports_check_mode=True)
    finish(module, lambda api: {"changed": False, "runtimes": api.list("runtime")})


if __name__ == "__main__":
    main()
