#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: resources
short_description: Create or change what a project needs besides files and containers
version_added: 0.1.0
description:
  - Applies resources of the kinds C(database) (a schema and its user), C(keystone_service) (users, services and
    endpoints), C(runtimes) of Qinling, and C(file).
  - The module P(qinling.kolla.plan#module) compares the same values, and returns them with each project.
author:
  - the qinling.kolla authors
options:
  resources:
    description:
      - The resources, each with its C(kind) and the keys that the class of this kind describes
        (C(plugins/module_utils/_resources)). One with C(on_controller) is applied on the controller.
      - Their secrets are never shown, also not with C(-vvv).
    type: list
    elements: dict
    required: true
  server_in_same_run:
    description: Whether the same run deploys the server, so that in check mode it need not answer yet.
    type: bool
    default: false
  secrets:
    description: Further values that are never shown.
    type: list
    elements: str
    default: []
requirements:
  - PyMySQL, for C(database)
  - openstacksdk, for C(keystone_service)
attributes:
  check_mode:
    support: full
    description: Reports what would change.
  diff_mode:
    support: partial
    description: Shows the differences of files, but of those that are secret; secrets in the others are masked.
"""

EXAMPLES = r"""
- name: Database | Create the schema and its user
  qinling.kolla.resources:
    resources: "{{ plan.projects.qinling.resources | selectattr('kind', 'equalto', 'database') }}"
"""

RETURN = r"""
done:
  description: What was created or changed, or would be.
  returned: success
  type: list
  elements: str
  sample: ["endpoint public of function-engine: http://10.0.0.1:7070"]
notes:
  description: What the operator has to do after that.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._resources import kinds


def main() -> None:
    # Sent by the action plugin of the same name instead of the options that are documented.
    module = AnsibleModule(argument_spec={"payload": payload.ARGUMENT}, supports_check_mode=True)
    sent = payload.load(module.params["payload"])
    result = kinds.apply(sent.pop("resources"), check=module.check_mode, diff=module._diff, **sent)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
