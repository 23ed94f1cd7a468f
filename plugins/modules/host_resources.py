#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_resources
short_description: Create or update resources of a project, on the host
version_added: 0.1.0
description:
  - Creates or updates the resources of a request.
  - Used by the action plugin M(qinling.kolla.resources); do not use it in a task.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - PyMySQL, for C(database)
  - openstacksdk, for C(keystone_service)
extends_documentation_fragment:
  - qinling.kolla.attributes
options:
  payload:
    description: The resources and the options of M(qinling.kolla.resources), encoded. It contains secrets.
    type: str
    required: true
attributes:
  diff_mode:
    support: partial
    description: Shows diffs only of files. Secret files are not shown, and secrets in other files are masked.
seealso:
  - module: qinling.kolla.resources
"""

EXAMPLES = r"""
- name: Resources | Apply the resources of a request
  qinling.kolla.host_resources:
    payload: "{{ payload }}"
"""

RETURN = r"""
done:
  description: The changes, in check mode the expected ones.
  returned: success
  type: list
  elements: str
notes:
  description: Manual steps for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._resources import kinds


def main() -> None:
    module = AnsibleModule(argument_spec={"payload": payload.ARGUMENT}, supports_check_mode=True)
    sent = payload.load(module.params["payload"])
    result = kinds.apply(sent.pop("resources"), check=module.check_mode, diff=module._diff, **sent)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
