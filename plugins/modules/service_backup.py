#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_backup
short_description: Back up and roll back containers and configuration of services
version_added: 0.1.0
description:
  - Retains the previous container of a service, stopped and renamed, and a copy of its configuration directory, until
    the new container is healthy. Both containers share volumes and never run at the same time.
  - The state is on the host. The next run continues an interrupted one, and a rollback restores the state of the last
    complete run.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - a Docker engine on the host
extends_documentation_fragment:
  - qinling.kolla.attributes
options:
  step:
    description:
      - C(prepare) copies the configuration before it is changed.
      - C(backup) stops and renames containers before they are replaced.
      - C(rollback) restores and starts the containers of one project with their configuration. If no service of the
        project had a usable container, the new containers are left for inspection.
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
        description: Name of the service and of its configuration directory.
        type: str
        required: true
      container:
        description: Name of the container.
        type: str
        required: true
  root:
    description: Parent directory of the services' configuration directories on the host.
    type: path
    required: true
  stop_timeout:
    description: Seconds until a container that is being stopped is killed.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: Does nothing.
seealso:
  - module: qinling.kolla.containers
  - module: qinling.kolla.config_files
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
  description: New containers that a rollback removed because the service had no usable container before.
  returned: success
  type: list
  elements: str
left:
  description: New containers that a rollback left for inspection because no service of the project had one before.
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
    # The module that replaces a container reports the change.
    module.exit_json(changed=bool(result["restored"]), **result)


if __name__ == "__main__":
    main()
