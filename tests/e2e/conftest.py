# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: a deployed Qinling with the operator's directory KOLLA_CONFIG_DIR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from deployment import Deployment
from qinling_http import Qinling, wait_for


@pytest.fixture(scope="session")
def qinling(deployment: Deployment) -> Qinling:
    """Return an authenticated client of Qinling's API."""
    return Qinling(deployment.directory / "clouds.yaml")


@pytest.fixture(scope="session")
def runtime(qinling: Qinling) -> Iterator[str]:
    """Return the ID of a runtime for the tests, with the image that the deployment registered."""
    registered = qinling.call("GET", "runtimes", 200)["runtimes"]
    (image,) = (entry["image"] for entry in registered if entry["name"] == "python3")
    created = qinling.call("POST", "runtimes", 201, json={"name": "e2e", "image": image})["id"]
    wait_for("runtime available", lambda: qinling.call("GET", f"runtimes/{created}", 200)["status"] == "available")
    yield created
    qinling.call("DELETE", f"runtimes/{created}", 204)
    wait_for(
        "runtime gone",
        lambda: qinling.session.get(f"{qinling.endpoint}/v1/runtimes/{created}", timeout=30).status_code == 404,
    )


@pytest.fixture
def make_function(qinling: Qinling, runtime: str) -> Iterator[Callable[..., str]]:
    """Return a factory that creates a function from its source and returns its ID; delete the functions at the end."""
    created: list[str] = []

    def create(source: str, **fields: Any) -> str:
        created.append(qinling.create_function(runtime, source, **fields)["id"])
        return created[-1]

    yield create
    for execution in qinling.call("GET", "executions", 200)["executions"]:
        if execution["function_id"] in created:
            qinling.call("DELETE", f"executions/{execution['id']}", 204)
    for function in created:
        qinling.call("DELETE", f"functions/{function}", 204)
