# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: registration_info
short_description: Tell what of a service is not in Keystone yet
version_added: 0.1.0
description:
  - Logs in as the service's own users. Keystone's answer says all at once whether user, password, project and role are
    right, and its catalog which services and endpoints there are; so one request shows that nothing has to be done.
author:
  - the qinling.kolla authors
options:
  auth_url:
    description: Address of Keystone, with or without C(/v3).
    type: str
    required: true
  users:
    description: Users that the service logs in with.
    type: list
    elements: dict
    required: true
    suboptions:
      user:
        description: Name of the user.
        type: str
        required: true
      password:
        description: The user's password.
        type: str
        required: true
      project:
        description: Project that the user works in.
        type: str
        required: true
      role:
        description: Role that the user has there.
        type: str
        required: true
  user_domain_name:
    description: Domain of the users.
    type: str
    default: Default
  project_domain_name:
    description: Domain of the projects.
    type: str
    default: Default
  services:
    description: Services of the catalog, each with O(services[].name), O(services[].type) and O(services[].endpoints).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service.
        type: str
        required: true
      type:
        description: Type of the service.
        type: str
        required: true
      description:
        description: Description of the service; the catalog does not show it, so it is not compared.
        type: str
      endpoints:
        description: Its endpoints, each with C(interface) and C(url).
        type: list
        elements: dict
        required: true
  region:
    description: Region of the endpoints.
    type: str
    default: RegionOne
  ca_cert:
    description: File with the certificates of the authorities that Keystone's certificate is checked with.
    type: path
  wait:
    description: Seconds to wait for a Keystone that does not listen or answers 503.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Register | Look what Keystone knows
  qinling.kolla.registration_info:
    auth_url: "{{ keystone_internal_url }}"
    users: "{{ qinling_ks_users }}"
    services: "{{ qinling_ks_services }}"
  register: known
"""

RETURN = r"""
missing:
  description: What is not there, or not as wanted, in words.
  returned: success
  type: list
  elements: str
  sample:
    - endpoint public of function-engine
locked_out:
  description: Names of the users that cannot log in as they should.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils.qinling_api import QinlingError
from ansible_collections.qinling.kolla.plugins.module_utils.registration import USERS_ARGUMENT, look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "auth_url": {"type": "str", "required": True},
            "users": USERS_ARGUMENT,
            "user_domain_name": {"type": "str", "default": "Default"},
            "project_domain_name": {"type": "str", "default": "Default"},
            "services": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "type": {"type": "str", "required": True},
                    "description": {"type": "str"},
                    "endpoints": {"type": "list", "elements": "dict", "required": True},
                },
            },
            "region": {"type": "str", "default": "RegionOne"},
            "ca_cert": {"type": "path"},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        found = look(module.params)
        module.exit_json(changed=False, missing=found["missing"], locked_out=found["locked_out"])
    except QinlingError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
