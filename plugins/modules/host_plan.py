#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_plan
short_description: Compare a host with the desired state of its projects, on the host
version_added: 0.1.0
description:
  - Compares files, containers and other resources of a request with the state of the host.
  - Used by the action plugin M(qinling.kolla.plan); do not use it in a task.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options:
  payload:
    description: The request, encoded. It contains secrets.
    type: str
    required: true
seealso:
  - module: qinling.kolla.plan
"""

EXAMPLES = r"""
- name: Plan | Compare the host with a request
  qinling.kolla.host_plan:
    payload: "{{ payload }}"
"""

RETURN = r"""
differences:
  description: The differences, by project and scope.
  returned: success
  type: dict
findings:
  description: The findings, one text each.
  returned: success
  type: list
  elements: str
options:
  description: The options that were validated (C(found), C(validated), C(not_validated)).
  returned: success
  type: dict
unmet_requirements:
  description: The requirements of each project that the host does not meet.
  returned: success
  type: dict
absent_images:
  description: As M(qinling.kolla.plan) returns it, like all other values.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import DirectoryError, identity
from ansible_collections.qinling.kolla.plugins.module_utils._plan import host_plan


def main() -> None:
    module = AnsibleModule(argument_spec={"payload": payload.ARGUMENT}, supports_check_mode=True)
    sent = payload.load(module.params["payload"])
    try:
        owner = (identity(sent.pop("owner"), "user"), identity(sent.pop("group"), "group"))
    except KeyError as error:
        module.fail_json(
            msg=f"The user or group does not exist on the host: {error.args[0]}; create it or change owner and group."
        )
    files = sent.pop("files")
    request = host_plan.Request(
        root=Path(sent.pop("root")),
        owner=owner,
        files=None if files is None else payload.load_files(files),
        **sent,
    )
    try:
        module.exit_json(**host_plan.plan(request))
    except DirectoryError as error:
        module.fail_json(msg=f"Nothing was changed:\n{error}")


if __name__ == "__main__":
    main()
