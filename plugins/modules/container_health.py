#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: container_health
short_description: Wait until containers are well
version_added: 0.1.0
description:
  - Runs the health checks of all containers at once, often at first and then less often, and is done when each is well.
    Docker's own first look comes only after a whole interval.
  - Fails where one does not get there, with its state, what its health check said, and its last lines. A container that
    ends again and again is given up early.
author:
  - the qinling.kolla authors
options:
  containers:
    description: The containers.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the container.
        type: str
        required: true
      test:
        description:
          - Its health check as Docker has it, such as C([CMD, qinling-healthcheck, api]). Without, it only has to run.
        type: list
        elements: str
        default: []
  seconds:
    description: Seconds that all of them may take.
    type: int
    default: 180
  logs_volume:
    description: Volume that holds the containers' logs, for the message.
    type: str
    default: kolla_logs
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed. In check mode nothing is waited for.
"""

EXAMPLES = r"""
- name: Healthy | Wait for Qinling's API
  qinling.kolla.container_health:
    containers:
      - name: qinling_api
        test: [CMD, qinling-healthcheck, api]
"""

RETURN = r"""
seconds:
  description: Seconds that it took.
  returned: success
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils.container_health import Host, wait_for_all


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
                },
            },
            "seconds": {"type": "int", "default": 180},
            "logs_volume": {"type": "str", "default": "kolla_logs"},
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    if not module.check_mode:
        unwell = wait_for_all(params["containers"], params["seconds"], params["logs_volume"], Host())
        if unwell:
            module.fail_json(msg="\n".join([*unwell, "Mend the cause and run the same command again."]))
    module.exit_json(changed=False, seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
