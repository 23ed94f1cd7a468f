# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations


class ModuleDocFragment:
    """What the modules that call Qinling's API have in common."""

    DOCUMENTATION = r"""
options:
  endpoint:
    description: Address of Qinling's API, without C(/v1). Keystone's catalog is not asked.
    type: str
    required: true
  auth:
    description: How to log in at Keystone.
    type: dict
    required: true
    suboptions:
      auth_url:
        description: Address of Keystone, with or without C(/v3).
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
        description: Project that the token is for, and that functions and executions belong to.
        type: str
        required: true
      domain_name:
        description: Domain of the user and of the project, unless they are given one of their own.
        type: str
        default: Default
      user_domain_name:
        description: Domain of the user.
        type: str
      project_domain_name:
        description: Domain of the project.
        type: str
  ca_cert:
    description: File with the certificates of the authorities that the servers' certificates are checked with.
    type: path
  wait:
    description:
      - Seconds to wait for an API that does not listen or answers 503, and for each step that Qinling takes on its own,
        such as starting a runtime's workers.
      - With V(0) nothing is waited for.
    type: int
    default: 120
"""

    # For the modules whose messages name the engine's container.
    ENGINE = r"""
options:
  engine:
    description: Name of the engine's container, for messages.
    type: str
    default: qinling_engine
"""

    # For the modules that change what Qinling keeps.
    CHANGE = r"""
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
"""
