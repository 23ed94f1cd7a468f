#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: registration
short_description: Register a service in Keystone
version_added: 0.1.0
description:
  - Makes users with their projects and roles, services, and endpoints, over one connection. With a module for each of
    these, loading the library and logging in would be nearly all of the time.
  - What M(qinling.kolla.registration_info) does not miss needs none of it.
author:
  - the qinling.kolla authors
options:
  auth:
    description: How to log in as an administrator, as for openstacksdk.
    type: dict
    required: true
  users:
    description: As for M(qinling.kolla.registration_info).
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
  locked_out:
    description: Names of users that are there and get their password set.
    type: list
    elements: str
    default: []
  services:
    description: As for M(qinling.kolla.registration_info).
    type: list
    elements: dict
    required: true
  user_domain_id:
    description: Id of the users' domain.
    type: str
    default: default
  project_domain_id:
    description: Id of the projects' domain.
    type: str
    default: default
  region:
    description: Region of the endpoints.
    type: str
    default: RegionOne
  ca_cert:
    description: File with the certificates of the authorities that Keystone's certificate is checked with.
    type: path
requirements:
  - openstacksdk
attributes:
  check_mode:
    support: full
    description: Tells what would be made.
"""

EXAMPLES = r"""
- name: Register | Make what is missing
  qinling.kolla.registration:
    auth: "{{ openstack_auth }}"
    users: "{{ qinling_ks_users }}"
    services: "{{ qinling_ks_services }}"
"""

RETURN = r"""
done:
  description: What was made or changed, in words.
  returned: success
  type: list
  elements: str
  sample: ["endpoint public of function-engine: http://10.0.0.1:7070"]
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.qinling.kolla.plugins.module_utils.keystone_entries import Entries
from ansible_collections.qinling.kolla.plugins.module_utils.registration import USERS_ARGUMENT

try:
    import openstack
except ImportError:
    openstack = None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "auth": {"type": "dict", "required": True, "no_log": True},
            "users": USERS_ARGUMENT,
            "locked_out": {"type": "list", "elements": "str", "default": []},
            "services": {"type": "list", "elements": "dict", "required": True},
            "user_domain_id": {"type": "str", "default": "default"},
            "project_domain_id": {"type": "str", "default": "default"},
            "region": {"type": "str", "default": "RegionOne"},
            "ca_cert": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if openstack is None:
        module.fail_json(msg=missing_required_lib("openstacksdk") + " The playbook bootstrap-servers installs it.")
    params = module.params
    try:
        # Nothing but what is given here: no clouds.yaml and no variables of the environment.
        cloud = openstack.connect(
            auth=params["auth"],
            region_name=params["region"],
            cacert=params["ca_cert"],
            identity_interface="internal",
            load_yaml_config=False,
            load_envvars=False,
        )
        domains = (params["user_domain_id"], params["project_domain_id"])
        entries = Entries(cloud.identity, domains, params["region"], module.check_mode)
        for user in params["users"]:
            entries.user(user, user["user"] in params["locked_out"])
        for service in params["services"]:
            entries.service(service)
    except Exception as error:  # openstacksdk's and keystoneauth's have no common ground
        module.fail_json(msg=f"Keystone at {params['auth'].get('auth_url')}: {error}")
    module.exit_json(changed=bool(entries.done), done=entries.done)


if __name__ == "__main__":
    main()
