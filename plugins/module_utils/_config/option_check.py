# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Validate options of oslo.config with the libraries of an image, in a container without network access."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import CONFIGURATION

TIMEOUT = 120
PULL_TIMEOUT = 1800


def deployed(api: DockerApi, check: dict[str, Any]) -> bool:
    """Return whether a container of the same image was already created with the files of a check."""
    status, container = api.get(f"/containers/{check['container']}/json")
    if status != 200 or container["Config"]["Labels"].get(CONFIGURATION) != check["digest"]:
        return False
    status, image = api.get(f"/images/{check['image']}/json")
    return bool(status == 200 and image["Id"] == container["Image"])


def docker(*arguments: str, text: str = "", seconds: int = TIMEOUT) -> tuple[int, str, str]:
    """Run the docker command; return its exit status, standard output and standard error."""
    try:
        # The arguments are names of images; no shell is involved.
        completed = subprocess.run(  # noqa: S603
            [shutil.which("docker") or "docker", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer within {seconds} s"
    except OSError as error:
        return 1, "", f"docker: {error.strerror}"
    return completed.returncode, completed.stdout, completed.stderr.strip()


def pull(image: str) -> str:
    """Pull an image; return the reason if that fails."""
    status, _output, errors = docker("pull", "--quiet", image, seconds=PULL_TIMEOUT)
    return (errors or f"docker pull ended with {status}") if status else ""


def run_script(image: str, request: dict[str, Any], script: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Run the `script` (oslo_options.py) in an image; return its findings by file, and the reason if it fails."""
    name = f"qinling_options_{os.getpid()}_{zlib.crc32(image.encode())}"
    options = ["--rm", "--interactive", "--name", name, "--network", "none", "--log-driver", "none"]
    options += ["--read-only", "--cap-drop", "ALL", "--entrypoint", "python3"]
    code, output, errors = docker("run", *options, image, "-c", script, text=json.dumps(request))
    try:
        return json.loads(output.splitlines()[-1]), ""
    except (ValueError, IndexError):
        docker("rm", "--force", name)
        lines = [line for line in errors.splitlines() if not line.startswith("See 'docker")]
        return {}, f"the options of image {image} cannot be read: {(lines or [f'exit status {code}'])[-1]}"


def validate(api: DockerApi, request: dict[str, Any]) -> dict[str, Any]:
    """Validate the files of a request; return ``{found, validated, not_validated}``: findings, services, reasons."""
    validated: list[str] = []
    not_validated: dict[str, str] = {}
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for check in request["checks"]:
        if not request["force"] and deployed(api, check):
            validated.append(check["service"])
        else:
            by_image[check["image"]].append(check)

    def check_image(image: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
        if not api.has_image(image):
            if not request["pull"]:
                return {}, f"the image {image} is not on this host yet"
            if problem := pull(image):
                return {}, f"the image {image} cannot be pulled: {problem}"
        files: dict[str, str] = {}
        provided: dict[str, list[str]] = {}
        for item in by_image[image]:
            for path, text in item["files"].items():
                files[f"{item['service']}/{path}"] = text
                provided[f"{item['service']}/{path}"] = item["provided"]
        return run_script(image, {"files": files, "provided": provided}, request["script"])

    found = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for image, (findings, problem) in zip(by_image, pool.map(check_image, by_image), strict=True):
            for check in by_image[image]:
                if problem:
                    not_validated[check["service"]] = problem
                    continue
                validated.append(check["service"])
                for path in check["files"]:
                    location = {"service": check["service"], "file": path}
                    found += [{**location, **item} for item in findings[f"{check['service']}/{path}"]]
    return {"found": found, "validated": sorted(validated), "not_validated": not_validated}
