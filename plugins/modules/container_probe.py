#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_probe
short_description: Wait until containers are healthy, on the host
version_added: 0.1.0
description:
  - Runs the health checks of containers until all are healthy.
  - Used by the action plugin M(qinling.kolla.container_health); do not use it in a task.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - a Docker engine on the host
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
  - qinling.kolla.container_health
options:
  payload:
    description: The values to mask in the message, encoded. It contains secrets.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Does not change anything. In check mode, it does not wait.
seealso:
  - module: qinling.kolla.container_health
"""

EXAMPLES = r"""
- name: Health | Wait for the Qinling API
  qinling.kolla.container_probe:
    containers:
      - name: qinling_api
    payload: "{{ payload }}"
"""

RETURN = r"""
seconds:
  description: Duration in seconds.
  returned: always
  type: float
containers:
  description: The containers with name, image and status.
  returned: always
  type: list
  elements: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import literals
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_health import Host, wait_for_all


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "containers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "test": {"type": "list", "elements": "str", "default": []},
                    "log_file": {"type": "str", "default": ""},
                },
            },
            "seconds": {"type": "int", "default": 180},
            "logs_volume": {"type": "str", "default": "kolla_logs"},
            "payload": payload.ARGUMENT,
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    summaries: list[dict[str, str]] = []
    reports: list[str] = []
    if not module.check_mode:
        secrets = literals(payload.load(params["payload"]))
        summaries, reports = wait_for_all(
            params["containers"], params["seconds"], params["logs_volume"], secrets, Host()
        )
    result = {"changed": False, "seconds": round(time.monotonic() - started, 1), "containers": summaries}
    if reports:
        module.fail_json(msg="\n".join([*reports, "Correct the cause and run the same command again."]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
