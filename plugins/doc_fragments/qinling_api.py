# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that call Qinling's API."""

    DOCUMENTATION = r"""
options:
  endpoint:
    description: URL of Qinling's API, without C(/v1). The module does not query Keystone's catalog.
    type: str
    required: true
  auth:
    description: Credentials for Keystone.
    type: dict
    required: true
    suboptions:
      auth_url:
        description: URL of Keystone, with or without C(/v3).
        type: str
        required: true
      username:
        description: Name of the user.
        type: str
        required: true
      password:
        description: The user's password.
        type: str
        required: true
      project_name:
        description: Project of the token, to which functions and executions belong.
        type: str
        required: true
      domain_name:
        description: Default domain of the user and of the project.
        type: str
        default: Default
      user_domain_name:
        description: Domain of the user.
        type: str
      project_domain_name:
        description: Domain of the project.
        type: str
  ca_cert:
    description: File with the CA certificates that verify the servers' certificates. The default are the system's CAs.
    type: path
  wait:
    description:
      - Seconds to wait for an API that does not listen or answers 503, and for each operation that Qinling runs in the
        background, such as starting a runtime's workers.
      - V(0) disables waiting.
    type: int
    default: 120
"""

    # Modules whose messages name the engine's container.
    ENGINE = r"""
options:
  engine:
    description: Name of the engine's container, for messages.
    type: str
    default: qinling_engine
"""
