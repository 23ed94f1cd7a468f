#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: configuration_info
short_description: Tell what is wrong with the configuration of services, and where its options come from
version_added: 0.1.0
description:
  - Renders the files of services as M(qinling.kolla.configuration) does, and writes none of them.
  - Without O(validate) the host is not contacted.
author:
  - the qinling.kolla authors
options:
  secrets:
    description: Values that are never shown, as for M(qinling.kolla.configuration).
    type: list
    elements: str
    default: []
  services:
    description: The services and their files, as for M(qinling.kolla.configuration).
    type: dict
    required: true
  option:
    description:
      - The option to tell the origin of, as C(section.option), C([section]/option), C(option) or C(section). Empty
        stands for all. Only INI files have options.
    type: str
  validate:
    description:
      - Services whose files hold options of oslo.config, each with C(image), C(container) (the name of the service's
        container) and C(files) (paths as in O(services)).
      - The options are those that the libraries in the image know. A container without network is run on the host for
        that, which takes a second; the files are handed to it in memory. Without the image on the host, a service is
        not validated.
    type: dict
    default: {}
  shared_files:
    description: Files that are not for one project alone. An option there that is not known is warned of.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Validate | Look for options that Qinling does not know
  qinling.kolla.configuration_info:
    services: "{{ services }}"
    validate:
      qinling-api:
        image: kolla/qinling-api:2026.1-debian-trixie
        container: qinling_api
        files: [qinling.conf]
  register: validation
  failed_when: validation.findings | length > 0

- name: Where | Ask for an option
  qinling.kolla.configuration_info:
    services: "{{ services }}"
    option: kubernetes.kube_host
"""

RETURN = r"""
findings:
  description: What is wrong, one text each, with file and line.
  returned: always
  type: list
  elements: str
  sample: ["/etc/kolla/config/qinling.conf:2: [engine] orchestrater: ... did you mean [engine] orchestrator?"]
validated:
  description: Services whose options were looked at, now or when the container that has them was made.
  returned: always
  type: list
  elements: str
not_validated:
  description: Services whose options could not be looked at, and why.
  returned: always
  type: dict
origins:
  description:
    - What is known of the options that O(option) asks for, each with C(file), C(section), C(option) and C(steps).
    - The first step is in force, the others were replaced. Each has C(text), C(origin) (file, line) and C(variables).
  returned: when O(option) is given and nothing is wrong
  type: list
  elements: dict
names:
  description: All options that are set, as C(section.option).
  returned: when O(option) is given and nothing is wrong
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils import payload
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import SOCKET, DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils.option_check import validate


def main() -> None:
    # Sent by the action plugin of the same name instead of the options that are documented.
    module = AnsibleModule(argument_spec={"payload": payload.ARGUMENT}, supports_check_mode=True)
    request = payload.load(module.params["payload"])
    try:
        answer = validate(DockerApi(SOCKET), request)
    except DockerUnreachableError as error:
        reason = f"Docker on {SOCKET} does not answer: {error}"
        services = [check["service"] for check in request["checks"]]
        answer = {"found": [], "validated": [], "not_validated": dict.fromkeys(services, reason)}
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
