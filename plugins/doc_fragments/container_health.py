# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that wait for containers."""

    DOCUMENTATION = r"""
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
"""
