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
  custom_config:
    description: As for M(qinling.kolla.configuration).
    type: path
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
        that, which takes a second; the files are handed to it in memory.
    type: dict
    default: {}
  shared_files:
    description: Files that are not for one project alone. An option there that is not known is warned of.
    type: list
    elements: path
    default: []
  force:
    description: Validate also what a running container of the same image already has, by its label.
    type: bool
    default: false
  pull:
    description: Fetch an image that is not on the host. Otherwise, its services are not validated.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed, save that O(pull) fetches images, which it does not in check mode.
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

import base64
import json
import os
import shutil
import subprocess
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import DockerApi, DockerUnreachableError

SOCKET = "/var/run/docker.sock"
LABEL = "qinling.kolla/configuration"
TIMEOUT = 120


def deployed(api: DockerApi, check: dict[str, Any]) -> bool:
    """Takes Docker's API and a check, returns whether a container of the same image has the same files already."""
    status, container = api.get(f"/containers/{check['container']}/json")
    if status != 200 or container["Config"]["Labels"].get(LABEL) != check["digest"]:
        return False
    status, image = api.get(f"/images/{check['image']}/json")
    return bool(status == 200 and image["Id"] == container["Image"])


def docker(*arguments: str, text: str = "") -> tuple[int, str, str]:
    """Takes arguments of Docker's command and its input; returns how it ended, its output and its errors."""
    try:
        # The arguments are names of images, and no shell reads them.
        done = subprocess.run(  # noqa: S603
            [shutil.which("docker") or "docker", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer within {TIMEOUT} s"
    except OSError as error:
        return 1, "", f"docker: {error.strerror}"
    return done.returncode, done.stdout, done.stderr.strip()


def ask(image: str, files: dict[str, str], script: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Takes an image, files by name and the script that reads them; returns findings by name, or why there are none."""
    name = f"qinling_options_{os.getpid()}_{zlib.crc32(image.encode())}"
    options = ["--rm", "--interactive", "--name", name, "--network", "none", "--log-driver", "none"]
    options += ["--read-only", "--cap-drop", "ALL", "--entrypoint", "python3"]
    code, output, errors = docker("run", *options, image, "-c", script, text=json.dumps({"files": files}))
    try:
        return json.loads(output.splitlines()[-1]), ""
    except (ValueError, IndexError):
        docker("rm", "--force", name)
        told = [line for line in errors.splitlines() if not line.startswith("See 'docker")]
        return {}, f"the image {image} can not tell its options: {(told or [f'it ended with {code}'])[-1]}"


def fetch(image: str) -> str:
    """Takes an image's name, fetches it, returns why that failed or nothing."""
    code, _output, errors = docker("pull", "--quiet", image)
    return f"the image {image} can not be fetched: {errors}" if code else ""


def validate(api: DockerApi, request: dict[str, Any]) -> dict[str, Any]:
    """Takes Docker's API and the request; returns what was found, and what was and was not validated."""
    validated: list[str] = []
    missing: dict[str, str] = {}
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for check in request["checks"]:
        if not request["force"] and deployed(api, check):
            validated.append(check["service"])
        else:
            by_image[check["image"]].append(check)

    def look(image: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
        if not api.has_image(image):
            problem = fetch(image) if request["pull"] else f"the image {image} is not on this host yet"
            if problem:
                return {}, problem
        files = {f"{item['service']}/{path}": text for item in by_image[image] for path, text in item["files"].items()}
        return ask(image, files, request["script"])

    found = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for image, (answer, problem) in zip(by_image, pool.map(look, by_image), strict=True):
            for check in by_image[image]:
                if problem:
                    missing[check["service"]] = problem
                    continue
                validated.append(check["service"])
                for path in check["files"]:
                    place = {"service": check["service"], "file": path}
                    found += [{**place, **item} for item in answer[f"{check['service']}/{path}"]]
    return {"found": found, "validated": sorted(validated), "not_validated": missing}


def main() -> None:
    # Sent by the action plugin of the same name instead of the options that are documented.
    module = AnsibleModule(
        argument_spec={"payload": {"type": "str", "required": True, "no_log": True}}, supports_check_mode=True
    )
    request = json.loads(zlib.decompress(base64.b64decode(module.params["payload"])))
    try:
        answer = validate(DockerApi(SOCKET), request)
    except DockerUnreachableError as error:
        reason = f"Docker on {SOCKET} does not answer: {error}"
        services = [check["service"] for check in request["checks"]]
        answer = {"found": [], "validated": [], "not_validated": dict.fromkeys(services, reason)}
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
