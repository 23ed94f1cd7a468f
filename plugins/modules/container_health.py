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
requirements:
  - a Docker engine on the host
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
  - qinling.kolla.container_health
options:
  secrets:
    description: Additional values to mask in the message. Variables with names such as C(*_password) are always masked.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Does not change anything. In check mode, it does not wait.
seealso:
  - module: qinling.kolla.containers
  - module: qinling.kolla.service_check
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
