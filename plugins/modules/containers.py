#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: containers
short_description: Create, replace or start the containers of a project
version_added: 0.1.0
description:
  - Creates missing containers, replaces containers with another image or label C(qinling.kolla/definition), and starts
    stopped containers. Other properties of a container are not compared.
  - The images have to exist on the host.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - a Docker engine on the host
extends_documentation_fragment:
  - qinling.kolla.attributes
options:
  containers:
    description: The containers, in the order in which they are created.
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
      body:
        description: The request of Docker's API that creates the container (ContainerCreate).
        type: dict
        required: true
      networks:
        description:
          - Networks in addition to the network of O(containers[].body), each with C(name) and C(endpoint).
        type: list
        elements: dict
        default: []
  volumes:
    description: Volumes to create first. Docker would create them without labels.
    type: list
    elements: str
    default: []
  labels:
    description: Labels of O(volumes).
    type: dict
    default: {}
  backup:
    description:
      - Whether a replaced container is retained as the backup of its service (M(qinling.kolla.service_backup)).
    type: bool
    default: false
  root:
    description: Parent directory of the services' configuration directories on the host.
    type: path
    required: true
  stop_timeout:
    description: Seconds until a container that is being replaced is killed.
    type: int
    default: 60
attributes:
  diff_mode:
    support: full
    description: Shows the names of containers and volumes with the action for each.
seealso:
  - module: qinling.kolla.container_health
  - module: qinling.kolla.plan
  - module: qinling.kolla.service_backup
"""

EXAMPLES = r"""
- name: Containers | Start memcached
  qinling.kolla.containers:
    containers: "{{ plan.projects.memcached.containers }}"
    root: /etc/kolla
"""

RETURN = r"""
containers:
  description: The action for each changed container - C(create), C(replace), C(start) or C(unpause).
  returned: success
  type: dict
volumes:
  description: Volumes that were created.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._docker import containers, service_backup
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import SOCKET, DockerApi


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "containers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "service": {"type": "str", "required": True},
                    "container": {"type": "str", "required": True},
                    "body": {"type": "dict", "required": True},
                    "networks": {"type": "list", "elements": "dict", "default": []},
                },
            },
            "volumes": {"type": "list", "elements": "str", "default": []},
            "labels": {"type": "dict", "default": {}},
            "backup": {"type": "bool", "default": False},
            "root": {"type": "path", "required": True},
            "stop_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    docker = DockerApi(SOCKET)
    host = service_backup.Host(docker, Path(params["root"]), params["stop_timeout"])
    specs = [containers.Spec(**container) for container in params["containers"]]
    try:
        created = [
            name for name in params["volumes"] if docker.create_volume(name, params["labels"], module.check_mode)
        ]
        done = containers.run(specs, host, backup=params["backup"], check=module.check_mode)
    except service_backup.FAILURES as error:
        module.fail_json(msg=service_backup.failure_text(error, params["root"]))
    result = {"changed": bool(created or done), "containers": done, "volumes": created}
    if module._diff and result["changed"]:
        lines = [f"volume {name}: create" for name in created] + [f"{name}: {action}" for name, action in done.items()]
        result["diff"] = {"prepared": "\n".join(lines) + "\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
