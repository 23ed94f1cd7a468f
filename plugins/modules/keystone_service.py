#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: keystone_service
short_description: Register a service in Keystone
version_added: 0.1.0
description:
  - Logs in as the service's own users. Keystone's answer says all at once whether user, password, project and role are
    right, and its catalog which services and endpoints there are; so one request shows that nothing has to be done.
  - Makes what is missing as an administrator, over one connection. With a module for each user, project, role, service
    and endpoint, loading the library and logging in would be nearly all of the time.
author:
  - the qinling.kolla authors
options:
  auth:
    description: How to log in as an administrator, as for openstacksdk, with C(auth_url).
    type: dict
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
        description: The user's password. One that does not fit is set.
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
  services:
    description: Services of the catalog.
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
        description:
          - Description of the service. The catalog does not show it, so it is compared only where something is missing.
        type: str
      endpoints:
        description: Its endpoints, each with C(interface) and C(url).
        type: list
        elements: dict
        required: true
  user_domain_name:
    description: Domain of the users.
    type: str
    default: Default
  user_domain_id:
    description: Id of the users' domain.
    type: str
    default: default
  project_domain_name:
    description: Domain of the projects.
    type: str
    default: Default
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
  wait:
    description: Seconds to wait for a Keystone that does not listen or answers 503.
    type: int
    default: 60
  to_come:
    description: Whether this Keystone is deployed along, so that in check mode it need not be there yet.
    type: bool
    default: false
requirements:
  - openstacksdk
attributes:
  check_mode:
    support: full
    description: Tells what would be made.
"""

EXAMPLES = r"""
- name: Register | Make what is missing
  qinling.kolla.keystone_service:
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

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.keystone_entries import Entries
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.keystone_service import look
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnansweredError

try:
    import openstack
except ImportError:
    openstack = None

ARGUMENTS: dict[str, Any] = {
    "auth": {"type": "dict", "required": True, "no_log": True},
    "users": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            **{name: {"type": "str", "required": True} for name in ("user", "project", "role")},
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
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
    "user_domain_name": {"type": "str", "default": "Default"},
    "user_domain_id": {"type": "str", "default": "default"},
    "project_domain_name": {"type": "str", "default": "Default"},
    "project_domain_id": {"type": "str", "default": "default"},
    "region": {"type": "str", "default": "RegionOne"},
    "ca_cert": {"type": "path"},
    "wait": {"type": "int", "default": 60},
    "to_come": {"type": "bool", "default": False},
}


def make(params: dict[str, Any], locked_out: list[str], check: bool) -> list[str]:
    """Takes the module's parameters, which users can not log in, and whether to tell only; returns what was done."""
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
    entries = Entries(cloud.identity, domains, params["region"], check)
    for user in params["users"]:
        entries.user(user, user["user"] in locked_out)
    for service in params["services"]:
        entries.service(service)
    return entries.done


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    auth_url = params["auth"].get("auth_url", "")
    may_be_away = module.check_mode and params["to_come"]
    done: list[str] = []
    try:
        found = look({**params, "auth_url": auth_url, "wait": 0 if may_be_away else params["wait"]})
        if found["missing"]:
            if openstack is None:
                module.fail_json(
                    msg=missing_required_lib("openstacksdk")
                    + " The playbook qinling.kolla.bootstrap_servers installs it."
                )
            done = make(params, found["locked_out"], module.check_mode)
    except UnansweredError as error:
        if not may_be_away:
            module.fail_json(msg=str(error))
        done = [f"everything, in a Keystone that is still to come ({error})"]
    except QinlingError as error:
        module.fail_json(msg=str(error))
    except Exception as error:  # openstacksdk's and keystoneauth's have no common ground
        module.fail_json(msg=f"Keystone at {auth_url}: {error}")
    module.exit_json(changed=bool(done), done=done)


if __name__ == "__main__":
    main()
