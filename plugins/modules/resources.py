# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resources
short_description: Create or update databases, Keystone services, runtimes and files of a project
version_added: 0.1.0
description:
  - Creates or updates resources of the kinds C(database) (a schema and its user), C(keystone_service) (users, services
    and endpoints), C(runtimes) of Qinling, and C(file).
  - M(qinling.kolla.plan) compares the same resources, and returns them with each project.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - PyMySQL, for C(database)
  - openstacksdk, for C(keystone_service)
extends_documentation_fragment:
  - qinling.kolla.attributes
options:
  resources:
    description:
      - The resources, each with its C(kind) and the keys of the class of this kind
        (C(plugins/module_utils/_resources)). A resource with C(on_controller) is applied on the controller.
      - Secrets are never shown, even with C(-vvv).
    type: list
    elements: dict
    required: true
  server_in_same_run:
    description: Whether the same run deploys the server. In check mode, such a server need not answer yet.
    type: bool
    default: false
  secrets:
    description: Additional values to mask in the output.
    type: list
    elements: str
    default: []
attributes:
  diff_mode:
    support: partial
    description: Shows diffs only of files. Secret files are not shown, and secrets in other files are masked.
seealso:
  - module: qinling.kolla.plan
"""

EXAMPLES = r"""
- name: Database | Create the schema and its user
  qinling.kolla.resources:
    resources: "{{ plan.projects.qinling.resources | selectattr('kind', 'equalto', 'database') }}"
"""

RETURN = r"""
done:
  description: The changes, in check mode the expected ones.
  returned: success
  type: list
  elements: str
  sample: ["endpoint public of function-engine: http://10.0.0.1:7070"]
notes:
  description: Manual steps for the operator.
  returned: always
  type: list
  elements: str
"""
