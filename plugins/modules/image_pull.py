#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Fetch several images at a time
version_added: 0.1.0
description:
  - Fetches images with Docker's own command, with the logins at registries that it knows, in one call a host.
author:
  - the qinling.kolla authors
options:
  names:
    description: Names of the images, with tags.
    type: list
    elements: str
    required: true
  always:
    description: Ask registries also for images that are there.
    type: bool
    default: true
attributes:
  check_mode:
    support: partial
    description: Tells which images are not there. Whether a registry has a newer one only fetching it tells.
"""

EXAMPLES = r"""
- name: Pull | Fetch Qinling's images
  qinling.kolla.image_pull:
    names:
      - "{{ qinling_api_image_full }}"
      - "{{ qinling_engine_image_full }}"
"""

RETURN = r"""
fetched:
  description: Images that are others than before.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import SOCKET, DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils.image_pull import fetch_all


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "always": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        done = fetch_all(module.params["names"], module.params["always"], module.check_mode, DockerApi(SOCKET))
    except DockerUnreachableError as error:
        module.fail_json(msg=f"Docker on {SOCKET} does not answer: {error}")
    fetched = [image.name for image in done if image.before != image.after]
    problems = [f"image {image.name} can not be fetched: {image.problem}" for image in done if image.problem]
    if problems:
        module.fail_json(msg="\n".join(problems), fetched=fetched)
    module.exit_json(changed=bool(fetched), fetched=fetched)


if __name__ == "__main__":
    main()
