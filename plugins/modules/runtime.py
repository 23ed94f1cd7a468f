# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime
short_description: Register a runtime at Qinling, change or remove it
version_added: 0.1.0
description:
  - Registers a runtime under a name, and waits until its workers are available.
  - A changed image is rolled out to its workers. When that fails, Qinling goes back to the former image, which this
    module tells as a failure.
  - A runtime whose status is V(error) is removed and registered again, which gives it a new ID.
author:
  - the qinling.kolla authors
extends_documentation_fragment:
  - qinling.kolla.qinling_api
  - qinling.kolla.qinling_api.engine
  - qinling.kolla.qinling_api.change
options:
  name:
    description: Name of the runtime. Its ID may be given to change or remove it.
    type: str
    required: true
  image:
    description: Image of its workers. Required with O(state=present).
    type: str
  trusted:
    description:
      - Whether functions on it get credentials to act for their owner. Qinling's default is V(true).
      - Can not be changed later; left out, it is not compared.
    type: bool
  description:
    description: A description. Left out, it stays as it is.
    type: str
  state:
    description: Whether there has to be the runtime. One that functions use can not be removed.
    type: str
    choices: [present, absent]
    default: present
  detach:
    description:
      - Whether functions give their workers back when the image changes. Calls that are running are lost then.
      - Otherwise a change of the image fails as long as a function has a worker of the runtime.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Runtimes | Register Python
  qinling.kolla.runtime:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: python3
    image: "{{ qinling_runtime_python3_image_full }}"

- name: Runtimes | Remove what nobody uses
  qinling.kolla.runtime:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: python2
    state: absent
"""

RETURN = r"""
runtime:
  description: The runtime as Qinling tells of it.
  returned: success, when there is one
  type: dict
  sample:
    id: 2f5b8a2e-6f0e-4d4a-b6c0-1f2d3c4b5a69
    name: python3
    image: qinling/qinling-runtime-python3:victoria
    status: available
    trusted: true
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: [removed because its status was error, registered]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    ARGUMENTS,
    ENGINE_ARGUMENT,
    STATE_ARGUMENT,
    finish,
)
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.runtime import Runtime

OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "trusted": {"type": "bool"},
    "description": {"type": "str"},
    **STATE_ARGUMENT,
    "detach": {"type": "bool", "default": False},
    **ENGINE_ARGUMENT,
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENTS, **OPTIONS},
        required_if=[("state", "present", ["image"])],
        supports_check_mode=True,
    )
    finish(module, lambda api: Runtime(api, module.params, module.check_mode).run())


if __name__ == "__main__":
    main()
