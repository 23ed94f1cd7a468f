# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Compare a host with the desired state of its projects
version_added: 0.1.0
description:
  - Renders the files of all projects of a host on the controller, and compares files, containers and other resources
    (schema, entries in Keystone, Swarm, runtimes) with the state of the host concurrently.
  - A variable of its role, such as C(etcd_project), defines a project. Its format is the argument specification
    C(project) of the role P(qinling.kolla.service#role).
  - Does not change anything, except that O(pull) pulls images.
  - Fails only if the host cannot be reached. Other problems are reported in RV(findings).
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options:
  projects:
    description:
      - The projects in the order of their dependencies. Other keys than these are ignored.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project and of its role.
        type: str
        required: true
      definition:
        description: Name of the variable that defines the project.
        type: str
        required: true
  scopes:
    description:
      - The parts of the state to compare. C(running) are containers with processes, C(host) are conflicts on the host
        (ports, Docker, images, names of containers, directories), C(leftovers) are the objects that destroy removes.
        C(containers) and C(options) need C(files).
      - C(origins) reports the origins of options (RV(origins)). As the only scope, it does not contact the host.
    type: list
    elements: str
    choices: [files, containers, options, resources, host, running, leftovers, origins]
    required: true
  action:
    description: The action of the plan. Projects may define actions that run even without differences.
    type: str
  prechecks:
    description:
      - The projects whose requirements are checked, and whose hooks C(precheck) are returned in RV(precheck) - V(all),
        those that are V(planned) (they differ, or are checked in each run), or none (empty).
    type: str
    choices: [all, planned, ""]
    default: ""
  early:
    description: Whether to compare only the state that does not depend on passwords, a Docker engine and images.
    type: bool
    default: false
  root:
    description: Parent directory of the services' directories on the host.
    type: path
    required: true
  owner:
    description: Owner of the files.
    type: str
  group:
    description: Group of the files.
    type: str
  directory:
    description: Directory of the files in containers.
    type: str
    required: true
  secrets:
    description: Values to mask in the output.
    type: list
    elements: str
    default: []
  settings:
    description: Settings that all containers share. The scope C(containers) requires all of them.
    type: dict
    default: {}
    suboptions:
      healthchecks:
        description: Whether Docker runs the health checks.
        type: bool
      restart_policy:
        description: Docker's restart policy.
        type: str
      stop_timeout:
        description: Seconds until a container that is being stopped is killed.
        type: int
      labels:
        description: Labels of all containers.
        type: dict
  database:
    description:
      - Server of the schemas and users of projects, as C(host), C(port), C(tls) and C(ca_cert), with the credentials of
        an administrator, C(admin_user) and C(admin_password). Empty if the operator manages schemas and users.
    type: dict
    default: {}
  keep_data:
    description: Whether destroy retains volumes with data, and networks.
    type: bool
    default: false
  transient_volumes:
    description: Volumes without data that has to be retained. O(keep_data) does not apply to them.
    type: list
    elements: str
    default: []
  bootstrap_prefix:
    description: Prefix of the names of bootstrap containers, before the name of the service.
    type: str
    default: bootstrap_
  globals:
    description: Files of the operator's variables, so that findings about these contain file and line.
    type: list
    elements: path
    default: []
  shared_files:
    description: The operator's files that apply to several projects. An unknown option there is only a warning.
    type: list
    elements: path
    default: []
  validate:
    description: Whether the scope C(options) is compared if it is one of O(scopes).
    type: bool
    default: true
  force:
    description: Whether to also validate options with which a container of the same image was already created.
    type: bool
    default: false
  pull:
    description: Whether to pull a missing image to validate options with it. Ignored in check mode.
    type: bool
    default: false
  option:
    description:
      - The option whose origin is reported, as C(section.option), C([section]/option), C(option) or C(section). Empty
        means all options. Only INI files have options.
    type: str
  deployment:
    description:
      - Name of the deployment. Containers, volumes and networks of the projects with the label of another deployment
        are findings, regardless of O(scopes).
    type: str
    default: ""
seealso:
  - module: qinling.kolla.config_files
  - module: qinling.kolla.containers
  - module: qinling.kolla.resources
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
  # The result contains files with secrets.
  no_log: true
  register: plan
"""

RETURN = r"""
findings:
  description: The findings, one text each.
  returned: always
  type: list
  elements: str
projects:
  description:
    - The input of the tasks that apply the plan, by project - its evaluated C(services), C(hooks), C(depends_on),
      C(upgrade_order), C(bootstrap) (with the name of its C(container), and whether it is C(needed)), C(resources)
      (including its database) and C(kept_volumes), its C(differences), and its C(containers) and C(configuration) for
      M(qinling.kolla.containers) and M(qinling.kolla.config_files). Files and resources contain secrets, so that the
      task needs C(no_log).
    - C(differences) are by scope. Those of C(resources) are by kind (C(database), C(keystone_service), C(swarm),
      C(runtimes), C(file)), those of C(leftovers) by C(containers), C(volumes), C(networks), C(paths),
      C(services), C(configs) and C(worker_volumes). C(volumes) are missing named volumes of local containers.
  returned: always
  type: dict
apply:
  description: Projects with differences.
  returned: always
  type: list
  elements: str
precheck:
  description: Projects whose hook C(precheck) runs on this host.
  returned: always
  type: list
  elements: str
images:
  description: Images of the services of this host.
  returned: always
  type: list
  elements: str
absent_images:
  description: Images of RV(images) that the host does not have, with the scope C(containers).
  returned: always
  type: list
  elements: str
orphaned:
  description: Existing containers of services that are not assigned to this host.
  returned: always
  type: list
  elements: str
existing:
  description: Existing containers of the projects, running or stopped.
  returned: always
  type: list
  elements: str
backups:
  description:
    - Containers and directories that an interrupted run left as backups (M(qinling.kolla.service_backup)). A project
      with backups is not up to date.
  returned: always
  type: list
  elements: str
unchanged:
  description: Services whose container, running or stopped, has the desired definition.
  returned: always
  type: list
  elements: str
bootstrapped:
  description: Services whose container was created after a bootstrap with the same image and inputs.
  returned: always
  type: list
  elements: str
digests:
  description: SHA-256 of the files of each local service, with the scope C(files).
  returned: always
  type: dict
definitions:
  description: Digest of the definition of each local service's container, with the scope C(containers).
  returned: always
  type: dict
up_to_date:
  description: Services of RV(unchanged) whose container runs, and is healthy if it has a health check.
  returned: always
  type: list
  elements: str
leftovers:
  description: The objects of the scope C(leftovers), one text each, with the containers that use a volume.
  returned: always
  type: list
  elements: str
retained_volumes:
  description:
    - Volumes that destroy does not remove because other containers use them, or because only the operator's
      C(*_extra_volumes) name them and the deployment did not create them; one text each, with the reason.
  returned: always
  type: list
  elements: str
absent_mounts:
  description: Files that containers mount and the host does not have, in the format of C(docker run --volume).
  returned: always
  type: list
  elements: str
docker:
  description:
    - Docker's Swarm state (C(swarm), which is C(Swarm) of GET /info), and the C(switches) of daemon.json that affect
      published ports. Empty without the scope C(host), or if Docker does not answer.
  returned: always
  type: dict
docker_socket_group:
  description: Number of the group of Docker's socket.
  returned: always
  type: int
validated:
  description: Services whose options were validated, now or when their container was created.
  returned: always
  type: list
  elements: str
not_validated:
  description: Reasons by service whose options could not be validated.
  returned: always
  type: dict
origins:
  description:
    - The options that O(option) selects, each with C(file), C(section), C(option) and C(steps).
    - The first step is in effect and replaces the others. Each has C(text), C(origin) (file, line) and C(variables).
  returned: with the scope C(origins), if there are no findings
  type: list
  elements: dict
names:
  description: All options that are set, as C(section.option).
  returned: with the scope C(origins), if there are no findings
  type: list
  elements: str
"""
