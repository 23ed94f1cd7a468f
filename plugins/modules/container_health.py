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
  - Fails where one does not get there, with its state, the last lines of its health check, of its program's log file
    and of its output, without those of the image's start. A container that ends again and again is given up early.
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
          - Its health check as Docker has it, such as C([CMD, qinling-healthcheck, api]). Without, it is the one that
            the container was made with; a container without any only has to run.
        type: list
        elements: str
        default: []
      log_file:
        description: Log file of its program, as a path in the container.
        type: str
        default: ""
  seconds:
    description: Seconds that all of them may take.
    type: int
    default: 180
  logs_volume:
    description: Volume that holds the containers' logs, for the message.
    type: str
    default: kolla_logs
  secrets:
    description: Values that the message never shows, and those of variables with names such as C(*_password).
    type: list
    elements: str
    default: []
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
  returned: always
  type: float
containers:
  description:
    - The containers with image and status, which is C(healthy) where one is well, or C(running) without a health check.
  returned: always
  type: list
  elements: dict
  sample: [{name: qinling_api, image: kolla/qinling-api:2026.1-debian-trixie, status: healthy}]
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
            # Sent by the action plugin of the same name instead of `secrets`.
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
