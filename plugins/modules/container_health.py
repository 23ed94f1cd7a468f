#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_health
short_description: Wait until containers are healthy
version_added: 0.1.0
description:
  - Runs the health checks of all containers concurrently, with increasing intervals, until all containers are healthy.
    Docker would run the first health check only after a whole interval.
  - If a container does not become healthy, the module fails with its state and the last lines of its health check, its
    log file and its output. A container that exits repeatedly fails early.
author:
  - the qinling.kolla authors (@qinling-kolla)
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
          - Health check in Docker's format, such as C([CMD, qinling-healthcheck, api]). The default is the health check
            of the container. A container without a health check only has to run.
        type: list
        elements: str
        default: []
      log_file:
        description: Path of the program's log file in the container.
        type: str
        default: ""
  seconds:
    description: Timeout for all containers together, in seconds.
    type: int
    default: 180
  logs_volume:
    description: Volume with the containers' logs, for the message.
    type: str
    default: kolla_logs
  secrets:
    description: Additional values to mask in the message. Variables with names such as C(*_password) are always masked.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The module does not change anything. In check mode, it does not wait.
"""

EXAMPLES = r"""
- name: Health | Wait for the Qinling API
  qinling.kolla.container_health:
    containers:
      - name: qinling_api
        test: [CMD, qinling-healthcheck, api]
"""

RETURN = r"""
seconds:
  description: Duration in seconds.
  returned: always
  type: float
containers:
  description:
    - The containers with image and status. A healthy container is C(healthy), or C(running) without a health check.
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
