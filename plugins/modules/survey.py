#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: survey
short_description: Tell in one look what on a host is wrong, and which projects have nothing to be done
version_added: 0.1.0
description:
  - Renders the files of all projects of a host on the controller, as M(qinling.kolla.configuration) does, and looks at
    the host once. Files, containers, and what a project wants beside them (its schema, its entries in Keystone, a
    Swarm, runtimes) are compared with what is there, all at the same time.
  - A project is its role's variables, found by its name. With a project C(etcd) those are C(etcd_services) and
    C(__etcd_files), C(__etcd_ports) and C(__etcd_wants), where there are such.
  - Changes nothing, save that O(pull) fetches images.
author:
  - the qinling.kolla authors
options:
  projects:
    description: Names of the projects, in the order in which they need each other.
    type: list
    elements: str
    required: true
  look:
    description:
      - What to look at. C(running) are containers that have processes, C(host) is what would be in the way (ports,
        Docker, images, names of containers, directories), C(remains) what a project that was removed leaves none of.
        C(containers) needs C(files), since a container is made from them.
    type: list
    elements: str
    choices: [files, containers, options, wants, host, running, remains]
    required: true
  action:
    description: What the look is for; projects may name actions that go through them whatever a look says.
    type: str
  early:
    description: Look only at what can be told before there are passwords, a Docker engine and images.
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
    description: What containers of all services are made with.
    type: dict
    default: {}
  globals:
    description: Files of the operator's variables, so that a finding about one of these names file and line.
    type: list
    elements: path
    default: []
  shared_files:
    description: As for M(qinling.kolla.configuration_info).
    type: list
    elements: path
    default: []
  validate:
    description: Whether C(options) is looked at where it is named.
    type: bool
    default: true
  fail:
    description: Fail where one can not look. Otherwise that is one of the findings.
    type: bool
    default: true
  pull:
    description: Fetch an image that is not on the host, to ask it for its options. Not in check mode.
    type: bool
    default: false
  deployment:
    description:
      - Name of the deployment. Containers, volumes and networks of the projects that are labelled with another one are
        findings, whatever O(look) is.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Survey | Look at everything
  qinling.kolla.survey:
    projects: [etcd, qinling]
    look: [files, containers, options, wants, host]
    root: /etc/kolla
    directory: /var/lib/kolla/config_files
  register: survey
"""

RETURN = r"""
findings:
  description: What is wrong, one text each.
  returned: always
  type: list
  elements: str
missing:
  description:
    - What is not as wanted, by project and kind of look; one that was not had may not be there. Those of C(wants) are
      by kind of want (C(grants), C(registration), C(swarm), C(runtimes), C(told)), those of C(remains) by what they are
      (C(containers), C(volumes), C(networks), C(paths), C(services), C(configs), C(worker_volumes)).
      C(volumes) are named volumes that containers here mount and Docker does not have yet.
  returned: always
  type: dict
  sample: {etcd: {files: [], containers: [etcd], running: [], wants: {}}}
todo:
  description: Projects of which something that was looked at is missing.
  returned: always
  type: list
  elements: str
asked:
  description: Those, and the ones whose own prechecks are wanted in each run.
  returned: always
  type: list
  elements: str
images:
  description: Images of the services that belong on this host.
  returned: always
  type: list
  elements: str
surplus:
  description: Containers that are there and do not belong on this host.
  returned: always
  type: list
  elements: str
existing:
  description: Containers of the projects that are there, running or not.
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
made:
  description: Services whose container was made as it is wanted, whether or not it runs.
  returned: always
  type: list
  elements: str
settled:
  description: Those of them whose container runs, and is healthy where it has a health check.
  returned: always
  type: list
  elements: str
leftovers:
  description: What C(remains) found, one text each, with the containers that use a volume.
  returned: always
  type: list
  elements: str
spared:
  description:
    - Volumes that C(remains) leaves out, since containers use them that are not of the projects, or since only the
      operator's C(*_extra_volumes) name them and the deployment did not create them; one text each, with the reason.
  returned: always
  type: list
  elements: str
absent_mounts:
  description: Files that containers would mount and the host has not, as C(docker run --volume) has them.
  returned: always
  type: list
  elements: str
docker_socket_group:
  description: Number of the group of Docker's socket.
  returned: always
  type: int
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils import host_survey, payload
from ansible_collections.qinling.kolla.plugins.module_utils.tree import TreeError, identity


def main() -> None:
    # Sent by the action plugin of the same name instead of the options that are documented.
    module = AnsibleModule(argument_spec={"payload": payload.ARGUMENT}, supports_check_mode=True)
    asked = payload.load(module.params["payload"])
    try:
        owner = (identity(asked.pop("owner"), "user"), identity(asked.pop("group"), "group"))
    except KeyError as error:
        module.fail_json(
            msg=f"The host has no such user or group: {error.args[0]}; create it or change owner and group."
        )
    files = asked.pop("files")
    request = host_survey.Request(
        root=Path(asked.pop("root")),
        owner=owner,
        files=None if files is None else payload.load_files(files),
        **asked,
    )
    try:
        module.exit_json(**host_survey.survey(request))
    except TreeError as error:
        module.fail_json(msg=f"Nothing was changed:\n{error}")


if __name__ == "__main__":
    main()
