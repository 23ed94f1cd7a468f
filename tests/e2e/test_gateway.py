# SPDX-License-Identifier: Apache-2.0
"""Tests of the function gateway: functions reach only Qinling's API, and the host reaches only workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from deployment import Deployment, run
from qinling_http import Qinling

# A function that returns the status and the gateway's header of the responses to requests.
REQUEST = """
import urllib.error, urllib.request

def request(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.headers.get("X-Qinling-Gateway")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("X-Qinling-Gateway")

def main(urls, **kwargs):
    return [request(url) for url in urls]
"""
DENIED = [403, "denied"]


@pytest.fixture(autouse=True)
def gateway(deployment: Deployment) -> dict[str, Any]:
    """Return the inspection of the gateway's container."""
    if deployment.kubernetes:
        pytest.skip("this deployment has no Swarm")
    return deployment.inspect("qinling_gateway")


def test_functions_reach_only_api(
    qinling: Qinling, make_function: Callable[..., str], deployment: Deployment, gateway: dict[str, Any]
) -> None:
    """Through the engine's port a function could reach the workers of other functions."""
    port = deployment.settings["qinling_gateway_port"]
    addresses = [network["IPAddress"] for network in gateway["NetworkSettings"]["Networks"].values()]
    assert len(addresses) == 2
    overlay = gateway["NetworkSettings"]["Networks"][f"{deployment.prefix.replace('_', '-')}qinling-functions"]
    urls = [
        "http://qinling-api:7070/healthcheck",
        f"http://qinling-api:{port}/health",
        f"http://qinling-api:{port}/worker/{overlay['IPAddress']}/ping",
    ]
    execution = qinling.execute(make_function(REQUEST, timeout=30), input=json.dumps({"urls": urls}))
    assert execution["status"] == "success", execution
    assert json.loads(execution["result"])["output"] == [[200, None], DENIED, DENIED]


def test_host_reaches_only_workers(deployment: Deployment, gateway: dict[str, Any]) -> None:
    address = f"http://127.0.0.1:{deployment.settings['qinling_gateway_port']}"
    assert requests.get(f"{address}/health", timeout=30).status_code == 200
    networks = gateway["NetworkSettings"]["Networks"]
    own = networks[f"{deployment.prefix.replace('_', '-')}qinling-gateway"]
    for target in ("127.0.0.1", own["IPAddress"], own["Gateway"], "192.0.2.1"):
        answer = requests.get(f"{address}/worker/{target}/ping", timeout=30)
        assert [answer.status_code, answer.headers.get("X-Qinling-Gateway")] == DENIED, target


def test_other_containers_are_denied(deployment: Deployment, gateway: dict[str, Any]) -> None:
    """Containers in the gateway's bridge network, or without isolation in any network, get no access."""
    name = f"{deployment.prefix.replace('_', '-')}qinling-gateway"
    address = gateway["NetworkSettings"]["Networks"][name]["IPAddress"]
    url = f"http://{address}:{deployment.settings['qinling_gateway_port']}/health"
    answer = run(
        "docker", "run", "--rm", f"--network={name}", "--entrypoint=curl", gateway["Config"]["Image"],
        "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", url,
    )  # fmt: skip
    assert answer == "403"
