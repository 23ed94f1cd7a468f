# SPDX-License-Identifier: Apache-2.0
"""The relay's two sides: functions get Qinling's API, the host gets workers, and neither gets more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from deployment import Deployment, run
from qinling_http import Qinling

# Answers with what the relay says to a function: status, and the header by which it speaks for itself.
ASK = """
import urllib.error, urllib.request

def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.headers.get("X-Qinling-Relay")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("X-Qinling-Relay")

def main(urls, **kwargs):
    return [ask(url) for url in urls]
"""
DENIED = [403, "denied"]


@pytest.fixture(autouse=True)
def relay(deployment: Deployment) -> dict[str, Any]:
    """The relay's container, as Docker describes it."""
    if deployment.kubernetes:
        pytest.skip("this deployment has no Swarm")
    return deployment.inspect("qinling_relay")


def test_functions_get_the_api_alone(
    qinling: Qinling, make_function: Callable[..., str], deployment: Deployment, relay: dict[str, Any]
) -> None:
    """The engine's side would carry requests to the workers of other functions."""
    port = deployment.settings["qinling_relay_port"]
    addresses = [network["IPAddress"] for network in relay["NetworkSettings"]["Networks"].values()]
    assert len(addresses) == 2
    overlay = relay["NetworkSettings"]["Networks"][f"{deployment.prefix.replace('_', '-')}qinling-functions"]
    urls = [
        "http://qinling-api:7070/healthcheck",
        f"http://qinling-api:{port}/health",
        f"http://qinling-api:{port}/worker/{overlay['IPAddress']}/ping",
    ]
    execution = qinling.execute(make_function(ASK, timeout=30), input=json.dumps({"urls": urls}))
    assert execution["status"] == "success", execution
    assert json.loads(execution["result"])["output"] == [[200, None], DENIED, DENIED]


def test_the_host_gets_workers_alone(deployment: Deployment, relay: dict[str, Any]) -> None:
    address = f"http://127.0.0.1:{deployment.settings['qinling_relay_port']}"
    assert requests.get(f"{address}/health", timeout=30).status_code == 200
    networks = relay["NetworkSettings"]["Networks"]
    own = networks[f"{deployment.prefix.replace('_', '-')}qinling-relay"]
    for target in ("127.0.0.1", own["IPAddress"], own["Gateway"], "192.0.2.1"):
        answer = requests.get(f"{address}/worker/{target}/ping", timeout=30)
        assert [answer.status_code, answer.headers.get("X-Qinling-Relay")] == DENIED, target


def test_other_containers_get_nothing(deployment: Deployment, relay: dict[str, Any]) -> None:
    """Neither from the relay's bridge network nor, where Docker separates none, from any other."""
    name = f"{deployment.prefix.replace('_', '-')}qinling-relay"
    address = relay["NetworkSettings"]["Networks"][name]["IPAddress"]
    url = f"http://{address}:{deployment.settings['qinling_relay_port']}/health"
    answer = run(
        "docker", "run", "--rm", f"--network={name}", "--entrypoint=curl", relay["Config"]["Image"],
        "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", url,
    )  # fmt: skip
    assert answer == "403"
