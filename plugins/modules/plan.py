#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Compare a host with the desired state of its projects, in one call
version_added: 0.1.0
description:
  - Renders the files of all projects of a host on the controller, and compares
    files, containers, and other resources (schema, entries in Keystone, Swarm, runtimes) with the present state of the
    host, all at the same time.
  - A project is described by a variable of its role, such as C(etcd_project); what it may hold is in the
    argument specification C(project) of the role P(qinling.kolla.service#role).
  - Changes nothing, except that O(pull) fetches images.
  - Fails only where the host cannot be reached. Everything else that keeps it from comparing is one of RV(findings).
author:
  - the qinling.kolla authors
options:
  projects:
    description:
      - The projects in the order in which they depend on each other, each with its O(projects[].name), which is also
        that of its role, and the variable O(projects[].definition) that describes it. Other keys are ignored.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      definition:
        description: Name of the variable that describes it.
        type: str
        required: true
  scopes:
    description:
      - What to compare. C(running) are containers that have processes, C(host) is what would be in the way (ports,
        Docker, images, names of containers, directories), C(leftovers) what destroy removes. C(containers) and
        C(options) need C(files).
      - C(origins) reports where options come from (RV(origins)); alone, it does not contact the host.
    type: list
    elements: str
    choices: [files, containers, options, resources, host, running, leftovers, origins]
    required: true
  action:
    description: The action that the plan is for; projects may name actions that run whatever the plan is.
    type: str
  prechecks:
    description:
      - The projects whose requirements are checked, and of which RV(precheck) returns those with a hook C(precheck) -
        V(all), those that are V(planned) (they differ, or are checked in each run), or none.
    type: str
    choices: [all, planned, ""]
    default: ""
  early:
    description: Compare only what is known before there are passwords, a Docker engine and images.
    type: bool
    default: false
  root:
    description: Directory of the services' directories on the host.
    type: path
    required: true
  owner:
    description: Owner of the files.
    type: str
  group:
    description: Group of the files.
    type: str
  directory:
    description: Directory in which containers find their files.
    type: str
    required: true
  secrets:
    description: Values that are never shown.
    type: list
    elements: str
    default: []
  settings:
    description: What containers of all services have in common. The scope C(containers) needs all of it.
    type: dict
    default: {}
    suboptions:
      healthchecks:
        description: Whether Docker runs the health checks.
        type: bool
      restart_policy:
        description: Restart policy, as Docker calls it.
        type: str
      stop_timeout:
        description: Seconds that a container has to end by itself when it is stopped.
        type: int
      labels:
        description: Labels of every container.
        type: dict
  database:
    description:
      - Server on which schemas and users of projects are expected, as C(host), C(port), C(tls) and C(ca_cert), with
        C(admin_user) and C(admin_password), who creates them. Empty where the operator does.
    type: dict
    default: {}
  keep_data:
    description: Whether destroy keeps volumes with data, and networks.
    type: bool
    default: false
  transient_volumes:
    description: Volumes that hold no data; O(keep_data) does not keep them.
    type: list
    elements: str
    default: []
  bootstrap_prefix:
    description: What the names of bootstrap containers begin with; the name of the service follows.
    type: str
    default: bootstrap_
  globals:
    description: Files of the operator's variables, so that a finding about one of these names file and line.
    type: list
    elements: path
    default: []
  shared_files:
    description: The operator's files that are not for one project alone. An unknown option there is only a warning.
    type: list
    elements: path
    default: []
  validate:
    description: Whether C(options) is compared where it is named.
    type: bool
    default: true
  force:
    description: Validate also the options that a running container of the same image already has, by its label.
    type: bool
    default: false
  pull:
    description: Fetch an image that is not on the host, to validate options with it. Not in check mode.
    type: bool
    default: false
  option:
    description:
      - The option to report the origin of, as C(section.option), C([section]/option), C(option) or C(section). Empty
        stands for all. Only INI files have options.
    type: str
  deployment:
    description:
      - Name of the deployment. Containers, volumes and networks of the projects that are labelled with another one are
        findings, whatever O(scopes) are.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Plan | Compare the host with its projects
  qinling.kolla.plan:
    projects:
      - {name: etcd, definition: etcd_project}
      - {name: qinling, definition: qinling_project}
    scopes: [files, containers, options, resources, host]
    root: /etc/kolla
    directory: /var/lib/kolla/config_files
    settings: {healthchecks: true, restart_policy: unless-stopped, stop_timeout: 60, labels: {}}
  # It holds the files.
  no_log: true
  register: plan
"""

RETURN = r"""
findings:
  description: What is wrong, one text each.
  returned: always
  type: list
  elements: str
projects:
  description:
    - What the tasks that apply the plan need, by project - its C(services), C(hooks), C(depends_on), C(upgrade_order),
      C(bootstrap) (with the name of its C(container), and whether it is C(needed)), C(resources) (with its database)
      and C(kept_volumes) as they were evaluated, its C(differences), its C(containers) as M(qinling.kolla.containers)
      takes them, and its files as M(qinling.kolla.config_files) takes them (C(configuration)). Files and resources hold
      secrets, so that the task needs C(no_log).
    - C(differences) are by scope. Those of C(resources) are by kind (C(database), C(keystone_service), C(swarm),
      C(runtimes), C(file)), those of C(leftovers) by C(containers), C(volumes), C(networks), C(paths),
      C(services), C(configs) and C(worker_volumes). C(volumes) are named volumes that local containers mount and
      Docker does not have yet.
  returned: always
  type: dict
apply:
  description: Projects with a difference.
  returned: always
  type: list
  elements: str
precheck:
  description: Projects whose hook C(precheck) runs on this host.
  returned: always
  type: list
  elements: str
images:
  description: Images of the services that belong on this host.
  returned: always
  type: list
  elements: str
absent_images:
  description: Those of them that the host does not have, where C(containers) is a scope.
  returned: always
  type: list
  elements: str
orphaned:
  description: Containers that exist and do not belong on this host.
  returned: always
  type: list
  elements: str
existing:
  description: Containers of the projects that exist, running or not.
  returned: always
  type: list
  elements: str
backups:
  description:
    - Containers and directories that an interrupted run left as backups (M(qinling.kolla.service_backup)). A project
      with some is not up to date.
  returned: always
  type: list
  elements: str
unchanged:
  description: Services whose container has the present definition, whether or not it runs.
  returned: always
  type: list
  elements: str
bootstrapped:
  description: Services whose container was created after a bootstrap with the same image and inputs.
  returned: always
  type: list
  elements: str
digests:
  description: SHA-256 of each local service's files, where C(files) is a scope.
  returned: always
  type: dict
definitions:
  description: SHA-256 of all that each local service's container is made from, where C(containers) is a scope.
  returned: always
  type: dict
up_to_date:
  description: Those of RV(unchanged) whose container runs, and is healthy where it has a health check.
  returned: always
  type: list
  elements: str
leftovers:
  description: What C(leftovers) found, one text each, with the containers that use a volume.
  returned: always
  type: list
  elements: str
kept:
  description:
    - Volumes that C(leftovers) leaves out, since containers use them that are not of the projects, or since only the
      operator's C(*_extra_volumes) name them and the deployment did not create them; one text each, with the reason.
  returned: always
  type: list
  elements: str
absent_mounts:
  description: Files that containers would mount and the host does not have, as C(docker run --volume) takes them.
  returned: always
  type: list
  elements: str
docker:
  description:
    - What Docker says of its Swarm (C(swarm), which is C(Swarm) of GET /info), and the C(switches) of its daemon.json
      that matter for published ports. Empty where C(host) is no scope, or Docker does not answer.
  returned: always
  type: dict
docker_socket_group:
  description: Number of the group of Docker's socket.
  returned: always
  type: int
validated:
  description: Services whose options were validated, now or when the container that has them was created.
  returned: always
  type: list
  elements: str
not_validated:
  description: Services whose options could not be validated, and why.
  returned: always
  type: dict
origins:
  description:
    - The options that O(option) selects, each with C(file), C(section), C(option) and C(steps).
    - The first step is in force, the others were replaced. Each has C(text), C(origin) (file, line) and C(variables).
  returned: when C(origins) is a scope and nothing is wrong
  type: list
  elements: dict
names:
  description: All options that are set, as C(section.option).
  returned: when C(origins) is a scope and nothing is wrong
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import TreeError, identity
from ansible_collections.qinling.kolla.plugins.module_utils._plan import host_plan


def main() -> None:
    # Sent by the action plugin of the same name instead of the options that are documented.
    module = AnsibleModule(argument_spec={"payload": payload.ARGUMENT}, supports_check_mode=True)
    sent = payload.load(module.params["payload"])
    try:
        owner = (identity(sent.pop("owner"), "user"), identity(sent.pop("group"), "group"))
    except KeyError as error:
        module.fail_json(
            msg=f"The host has no such user or group: {error.args[0]}; create it or change owner and group."
        )
    files = sent.pop("files")
    request = host_plan.Request(
        root=Path(sent.pop("root")),
        owner=owner,
        files=None if files is None else payload.load_files(files),
        **sent,
    )
    try:
        module.exit_json(**host_plan.plan(request))
    except TreeError as error:
        module.fail_json(msg=f"Nothing was changed:\n{error}")


if __name__ == "__main__":
    main()
