# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime
short_description: Register, update or remove a Qinling runtime
version_added: 0.1.0
description:
  - Registers a runtime, and waits until its workers are available.
  - A new image is rolled out to the workers. If this fails, Qinling rolls back to the previous image, and the module
    fails.
  - A runtime with the status V(error) is removed and registered again with a new ID.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes
  - qinling.kolla.qinling_api
  - qinling.kolla.qinling_api.engine
options:
  name:
    description: Name of the runtime. An existing runtime may also be identified by its ID.
    type: str
    required: true
  image:
    description: Image of the workers. Required with O(state=present).
    type: str
  trusted:
    description:
      - Whether functions of the runtime get credentials to act for their owner. Qinling's default is V(true).
      - Qinling cannot change the value of an existing runtime. If omitted, it is not compared.
    type: bool
  description:
    description: Description. If omitted, it is not changed.
    type: str
  state:
    description: Whether the runtime exists. A runtime that functions use cannot be removed.
    type: str
    choices: [present, absent]
    default: present
  detach:
    description:
      - Whether functions are detached from their workers if the image changes. Running executions are lost.
      - With V(false), a change of the image fails while a function has a worker of the runtime.
    type: bool
    default: false
seealso:
  - module: qinling.kolla.execution
  - module: qinling.kolla.function
"""

EXAMPLES = r"""
- name: Runtimes | Register the Python 3 runtime
  qinling.kolla.runtime:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: python3
    image: "{{ qinling_runtime_python3_image_full }}"

- name: Runtimes | Remove the Python 2 runtime
  qinling.kolla.runtime:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: python2
    state: absent
"""

RETURN = r"""
runtime:
  description: The runtime as Qinling returns it.
  returned: success, if the runtime exists
  type: dict
  sample:
    id: 2f5b8a2e-6f0e-4d4a-b6c0-1f2d3c4b5a69
    name: python3
    image: qinling/qinling-runtime-python3:victoria
    status: available
    trusted: true
done:
  description: The changes, in check mode the expected ones.
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
