# SPDX-License-Identifier: Apache-2.0
"""Minimal client of Qinling's HTTP API."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml


class Qinling:
    """Client of Qinling's HTTP API, authenticated as the user of the cloud `qinling` in the file `clouds`.

    `other` replaces the `username`, `password` and `project_name` of that file; the domains remain.
    """

    def __init__(self, clouds: Path, **other: str) -> None:
        cloud = yaml.safe_load(clouds.read_text())["clouds"]["qinling"]["auth"] | other
        self.identity = f"{cloud['auth_url']}/v3"
        identity = {
            "methods": ["password"],
            "password": {
                "user": {
                    "name": cloud["username"],
                    "password": cloud["password"],
                    "domain": {"name": cloud["user_domain_name"]},
                }
            },
        }
        scope = {"project": {"name": cloud["project_name"], "domain": {"name": cloud["project_domain_name"]}}}
        answer = requests.post(
            f"{self.identity}/auth/tokens", json={"auth": {"identity": identity, "scope": scope}}, timeout=30
        )
        answer.raise_for_status()
        services = answer.json()["token"]["catalog"]
        endpoints = next(service for service in services if service["type"] == "function-engine")["endpoints"]
        self.endpoint: str = next(entry for entry in endpoints if entry["interface"] == "public")["url"]
        self.session = requests.Session()
        self.session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any:
        """Send a request below /v1, assert the status `expect`, and return the JSON of the response, or None."""
        answer = self.session.request(method, f"{self.endpoint}/v1/{path}", timeout=120, **more)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def create_function(self, runtime: str, source: str, **fields: Any) -> dict[str, Any]:
        """Create a function from a package with `source` as main.py, and return the function."""
        created: dict[str, Any] = self.call(
            "POST",
            "functions",
            201,
            data={"runtime_id": runtime, "code": '{"source": "package"}', "entry": "main.main", **fields},
            files={"package": ("package.zip", package(source), "application/zip")},
        )
        return created

    def execute(self, function: str, **fields: Any) -> dict[str, Any]:
        """Execute a function, by default until its end, and return the execution."""
        execution: dict[str, Any] = self.call("POST", "executions", 201, json={"function_id": function, **fields})
        return execution


def package(source: str) -> bytes:
    """Return a zip archive with `source` as main.py."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("main.py", source)
    return archive.getvalue()


def wait_for(what: str, test: Callable[[], Any], seconds: float = 90) -> Any:
    """Return the first true result of `test`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = test()
        if answer:
            return answer
        time.sleep(1)
    pytest.fail(f"{what}: timeout after {seconds} s")
