# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests stand on: a deployed Qinling, found through the operator's directory (KOLLA_CONFIG_DIR)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from deployment import Deployment
from qinling_http import Qinling, wait_for


@pytest.fixture(scope="session")
def qinling(deployment: Deployment) -> Qinling:
    """Qinling's API, logged in."""
    return Qinling(deployment.directory / "clouds.yaml")


@pytest.fixture(scope="session")
def runtime(qinling: Qinling) -> Iterator[str]:
    """The id of a runtime of the tests' own, with the image that the deployment registered."""
    registered = qinling.call("GET", "runtimes", 200)["runtimes"]
    image = next(entry["image"] for entry in registered if entry["name"] == "python3")
    created = qinling.call("POST", "runtimes", 201, json={"name": "e2e", "image": image})["id"]
    wait_for("runtime available", lambda: qinling.call("GET", f"runtimes/{created}", 200)["status"] == "available")
    yield created
    qinling.call("DELETE", f"runtimes/{created}", 204)
    wait_for(
        "runtime gone",
        lambda: qinling.session.get(f"{qinling.endpoint}/v1/runtimes/{created}", timeout=30).status_code == 404,
    )


@pytest.fixture()
def make_function(qinling: Qinling, runtime: str) -> Iterator[Callable[..., str]]:
    """Returns a maker of functions: source in, id out. They are deleted afterwards, with their executions."""
    made: list[str] = []

    def make(source: str, **fields: Any) -> str:
        made.append(qinling.create_function(runtime, source, **fields)["id"])
        return made[-1]

    yield make
    for execution in qinling.call("GET", "executions", 200)["executions"]:
        if execution["function_id"] in made:
            qinling.call("DELETE", f"executions/{execution['id']}", 204)
    for function in made:
        qinling.call("DELETE", f"functions/{function}", 204)
