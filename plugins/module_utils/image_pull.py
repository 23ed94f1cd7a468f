# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Fetches images by Docker's own command, which knows the logins at registries; several at a time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.qinling.kolla.plugins.module_utils.docker_api import DockerApi

SECONDS = 1800
# A registry's own client takes three layers at a time.
AT_ONCE = 3


@dataclass
class Fetched:
    """What became of one image: its ids before and after (empty: it was not there), and why it could not be fetched."""

    name: str
    before: str
    after: str
    problem: str = ""


def pull(name: str) -> str:
    """Takes an image's name, fetches it, returns why that failed or nothing."""
    try:
        done = subprocess.run(  # noqa: S603
            [shutil.which("docker") or "docker", "pull", "--quiet", name],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} s"
    except OSError as error:
        return f"docker: {error.strerror}"
    return "" if done.returncode == 0 else (done.stderr.strip() or f"docker pull ended with {done.returncode}")


def fetch_all(
    names: Iterable[str], always: bool, check: bool, docker: DockerApi, pull: Callable[[str], str] = pull
) -> list[Fetched]:
    """Takes images, whether also those that are there are asked for anew, and whether nothing may change.

    Returns what became of each. In check mode an image that is there counts as current: only fetching would tell.
    """

    def one(name: str) -> Fetched:
        before = docker.image_id(name)
        if check or (before and not always):
            return Fetched(name, before, before or "unknown")
        problem = pull(name)
        return Fetched(name, before, docker.image_id(name), problem)

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(one, dict.fromkeys(names)))
