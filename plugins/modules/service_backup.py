#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: service_backup
short_description: Back up and roll back containers of services with their configuration
version_added: 0.1.0
description:
  - Keeps the earlier container of a service, stopped and under another name, and a copy of its configuration directory,
    until the new container is healthy. Earlier and new container share volumes, so they never run at the same time.
  - All state is on the host. A run that was interrupted is continued by the next one, and goes back to what the last
    complete run left.
author:
  - the qinling.kolla authors
options:
  step:
    description:
      - C(prepare) copies the configuration, before the new one is written.
      - C(backup) stops and renames containers that are about to be replaced.
      - C(rollback) restores containers and configuration of one project and starts them. Where no service of the
        project had a container that gave a service, the new ones stay for inspection.
      - C(cleanup) removes the backups.
    type: str
    choices: [prepare, backup, rollback, cleanup]
    required: true
  services:
    description: The services.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: Name of the service, which is that of its configuration directory.
        type: str
        required: true
      container:
        description: Name of its container.
        type: str
        required: true
  root:
    description: Directory on the host below which each service has its configuration directory.
    type: path
    required: true
  stop_timeout:
    description: Seconds that a container has to end by itself when it is stopped.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: Does nothing.
"""

EXAMPLES = r"""
- name: Backup | Stop and rename the container
  qinling.kolla.service_backup:
    step: backup
    services:
      - {service: mariadb, container: mariadb}
    root: /etc/kolla
"""

RETURN = r"""
restored:
  description: Containers that a rollback restored and started.
  returned: success
  type: list
  elements: str
removed:
  description: Containers that a rollback removed, as there was none before that gave a service.
  returned: success
  type: list
  elements: str
left:
  description: Containers that it left for inspection, as no service of the project had one before.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._docker import service_backup
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import SOCKET, DockerApi


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": ["prepare", "backup", "rollback", "cleanup"]},
            "services": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "service": {"type": "str", "required": True},
                    "container": {"type": "str", "required": True},
                },
            },
            "root": {"type": "path", "required": True},
            "stop_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    result = service_backup.NOTHING_RESTORED
    if not module.check_mode:
        host = service_backup.Host(DockerApi(SOCKET), Path(params["root"]), params["stop_timeout"])
        try:
            result = service_backup.run(
                params["step"], [service_backup.Service(**service) for service in params["services"]], host
            )
        except service_backup.FAILURES as error:
            module.fail_json(msg=service_backup.failure_text(error, params["root"]))
    # What replaces a container reports the change.
    module.exit_json(changed=bool(result["restored"]), **result)


if __name__ == "__main__":
    main()
