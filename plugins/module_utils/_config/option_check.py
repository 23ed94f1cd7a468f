# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Options of oslo.config held against what the libraries in an image know: a container without network tells it."""

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
    """Takes Docker's API and a check, returns whether a container of the same image has the same files already."""
    status, container = api.get(f"/containers/{check['container']}/json")
    if status != 200 or container["Config"]["Labels"].get(CONFIGURATION) != check["digest"]:
        return False
    status, image = api.get(f"/images/{check['image']}/json")
    return bool(status == 200 and image["Id"] == container["Image"])


def docker(*arguments: str, text: str = "", seconds: int = TIMEOUT) -> tuple[int, str, str]:
    """Run Docker's command for at most so many seconds; return its exit status, its output and its errors."""
    try:
        # The arguments are names of images, and no shell reads them.
        done = subprocess.run(  # noqa: S603
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
    return done.returncode, done.stdout, done.stderr.strip()


def pull(image: str) -> str:
    """Pull an image; return why that failed, or nothing."""
    status, _output, errors = docker("pull", "--quiet", image, seconds=PULL_TIMEOUT)
    return (errors or f"docker pull ended with {status}") if status else ""


def ask(image: str, request: dict[str, Any], script: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Takes an image, what oslo_options reads and its script; returns findings by name, or why there are none."""
    name = f"qinling_options_{os.getpid()}_{zlib.crc32(image.encode())}"
    options = ["--rm", "--interactive", "--name", name, "--network", "none", "--log-driver", "none"]
    options += ["--read-only", "--cap-drop", "ALL", "--entrypoint", "python3"]
    code, output, errors = docker("run", *options, image, "-c", script, text=json.dumps(request))
    try:
        return json.loads(output.splitlines()[-1]), ""
    except (ValueError, IndexError):
        docker("rm", "--force", name)
        told = [line for line in errors.splitlines() if not line.startswith("See 'docker")]
        return {}, f"the image {image} can not tell its options: {(told or [f'it ended with {code}'])[-1]}"


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
            if not request["pull"]:
                return {}, f"the image {image} is not on this host yet"
            if problem := pull(image):
                return {}, f"the image {image} can not be fetched: {problem}"
        files: dict[str, str] = {}
        provided: dict[str, list[str]] = {}
        for item in by_image[image]:
            for path, text in item["files"].items():
                files[f"{item['service']}/{path}"] = text
                provided[f"{item['service']}/{path}"] = item["provided"]
        return ask(image, {"files": files, "provided": provided}, request["script"])

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
