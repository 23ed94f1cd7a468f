# SPDX-License-Identifier: Apache-2.0
"""Tests of functions on real workers through the API."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from deployment import Deployment
from qinling_http import Qinling, package, wait_for

HELLO = """
def main(name="World", **kwargs):
    print(f"greeting {name}")
    return f"Hello, {name}"
"""

MakeFunction = Callable[..., str]


def output(execution: dict[str, Any]) -> Any:
    """Return the output of an execution; fail if it did not succeed."""
    assert execution["status"] == "success", execution
    return json.loads(execution["result"])["output"]


def test_execution_returns_output_and_log(qinling: Qinling, make_function: MakeFunction) -> None:
    execution = qinling.execute(make_function(HELLO), input='{"name": "e2e"}')
    assert output(execution) == "Hello, e2e"
    log = qinling.session.get(f"{qinling.endpoint}/v1/executions/{execution['id']}/log", timeout=30)
    assert "greeting e2e" in log.text


def test_second_call_is_warm(qinling: Qinling, make_function: MakeFunction) -> None:
    function = make_function(HELLO)
    times = []
    for _number in range(5):
        start = time.monotonic()
        output(qinling.execute(function))
        times.append(time.monotonic() - start)
    print(f"cold {times[0]:.2f} s, warm {min(times[1:]):.2f} s")
    assert min(times[1:]) < 2


def test_execution_fails_with_function(qinling: Qinling, make_function: MakeFunction) -> None:
    execution = qinling.execute(make_function("def main(**kwargs):\n    raise ValueError('no luck')\n"))
    assert execution["status"] == "failed"
    assert "no luck" in json.loads(execution["result"])["output"]


def test_timeout_fails_execution(qinling: Qinling, make_function: MakeFunction) -> None:
    execution = qinling.execute(make_function("import time\ndef main(**kwargs):\n    time.sleep(60)\n", timeout=2))
    assert execution["status"] == "failed"
    assert "timeout" in json.loads(execution["result"])["output"].lower()


def test_changed_package_is_downloaded_again(qinling: Qinling, make_function: MakeFunction) -> None:
    function = make_function("def main(**kwargs):\n    return 'old'\n")
    assert output(qinling.execute(function)) == "old"
    changed = package("def main(**kwargs):\n    return 'new'\n")
    qinling.call(
        "PUT",
        f"functions/{function}",
        200,
        data={"code": '{"source": "package"}'},
        files={"package": ("package.zip", changed, "application/zip")},
    )
    assert output(qinling.execute(function)) == "new"


def test_versions_keep_their_package(qinling: Qinling, make_function: MakeFunction) -> None:
    function = make_function("def main(**kwargs):\n    return 'one'\n")
    version = qinling.call("POST", f"functions/{function}/versions", 201, json={"description": "first"})
    assert version["version_number"] == 1
    assert output(qinling.execute(function, function_version=1)) == "one"
    qinling.call("POST", f"functions/{function}/versions/1/detach", 202)
    qinling.call("DELETE", f"functions/{function}/versions/1", 204)


def test_webhook_executes_function(qinling: Qinling, make_function: MakeFunction) -> None:
    function = make_function(HELLO)
    webhook = qinling.call("POST", "webhooks", 201, json={"function_id": function})
    try:
        # No token: the URL is the secret.
        answer = requests.post(webhook["webhook_url"], json={"name": "hook"}, timeout=60)
        assert answer.status_code == 202, answer.text
        execution = answer.json()["execution_id"]
        done = wait_for(
            "webhook's execution",
            lambda: (found := qinling.call("GET", f"executions/{execution}", 200))["status"] != "running" and found,
        )
        assert output(done) == "Hello, hook"
    finally:
        qinling.call("DELETE", f"webhooks/{webhook['id']}", 204)


def test_job_executes_function(qinling: Qinling, make_function: MakeFunction) -> None:
    function = make_function(HELLO)
    first = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=63)
    job = qinling.call(
        "POST",
        "jobs",
        201,
        json={
            "function_id": function,
            "first_execution_time": first.strftime("%Y-%m-%dT%H:%M:%S"),
            "function_input": '{"name": "job"}',
        },
    )
    try:

        def finished() -> Any:
            executions = qinling.call("GET", "executions", 200)["executions"]
            return [entry for entry in executions if entry["function_id"] == function and entry["status"] != "running"]

        assert output(wait_for("job's execution", finished, 120)[0]) == "Hello, job"
    finally:
        qinling.call("DELETE", f"jobs/{job['id']}", 204)


def test_workers_scale_up_and_down(qinling: Qinling, make_function: MakeFunction) -> None:
    function = make_function(HELLO)
    output(qinling.execute(function))

    def workers() -> int:
        return len(qinling.call("GET", f"functions/{function}/workers", 200)["workers"])

    assert workers() == 1
    qinling.call("POST", f"functions/{function}/scale_up", 202, json={"count": 1})
    wait_for("two workers", lambda: workers() == 2)
    assert output(qinling.execute(function)) == "Hello, World"
    qinling.call("POST", f"functions/{function}/scale_down", 202, json={"count": 1})
    wait_for("one worker", lambda: workers() == 1)
    assert output(qinling.execute(function)) == "Hello, World"
    qinling.call("POST", f"functions/{function}/detach", 202)
    wait_for("no worker", lambda: workers() == 0)


def test_image_function_returns_log(qinling: Qinling, runtime: str) -> None:
    image = qinling.call("GET", f"runtimes/{runtime}", 200)["image"].replace("qinling-runtime-python3", "debian")
    function = qinling.call(
        "POST", "functions", 201, data={"code": json.dumps({"source": "image", "image": image}), "timeout": 30}
    )["id"]
    execution = qinling.execute(function, input="echo from the image")
    try:
        assert execution["status"] == "success", execution
        log = qinling.session.get(f"{qinling.endpoint}/v1/executions/{execution['id']}/log", timeout=30)
        assert "from the image" in log.text
    finally:
        qinling.call("DELETE", f"executions/{execution['id']}", 204)
        qinling.call("DELETE", f"functions/{function}", 204)


@pytest.mark.parametrize("image", ["x\nprivileged: true", "a b", "registry/UPPER", '"}'])
def test_image_name_with_injection_is_rejected(qinling: Qinling, image: str) -> None:
    qinling.call("POST", "functions", 400, data={"code": json.dumps({"source": "image", "image": image})})


def test_function_cannot_reach_backing_services(
    qinling: Qinling, make_function: MakeFunction, deployment: Deployment
) -> None:
    """Workers reach the API, but neither backing services nor the Docker socket, and do not run as root."""
    function = make_function(
        """
import os, socket
def reach(host, port):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False
def main(api, hosts, ports, **kwargs):
    routes = [line.split() for line in open("/proc/net/route").readlines()[1:]]
    gateway = [route[2] for route in routes if route[1] == "00000000"]
    return {
        "uid": os.getuid(),
        "socket": os.path.exists("/var/run/docker.sock"),
        "api": reach(*api),
        "reached": [(h, p) for h in hosts for p in ports if reach(h, p)],
        "gateway": gateway,
        "secrets": [k for k in os.environ if "PASSWORD" in k or "TOKEN" in k],
    }
""",
        timeout=60,
    )
    settings = deployment.settings
    given = {
        "api": [deployment.api_address, settings["qinling_api_port"]]
        if deployment.kubernetes
        else ["qinling-api", 7070],
        "hosts": ["127.0.0.1", "172.17.0.1", "172.18.0.1", "10.249.0.1"],
        "ports": [settings[f"{name}_port"] for name in ("database", "rabbitmq", "etcd_client", "memcached")],
    }
    seen = output(qinling.execute(function, input=json.dumps(given)))
    assert seen["uid"] != 0
    assert seen["api"]
    assert not seen["socket"]
    assert not seen["reached"]
    assert not seen["secrets"]
    # The Swarm network is internal: it has no default route.
    assert deployment.kubernetes or not seen["gateway"]


def test_unauthorised_response_does_not_contain_token(qinling: Qinling) -> None:
    answer = requests.get(f"{qinling.endpoint}/v1/functions", headers={"X-Auth-Token": "canary-token-1234"}, timeout=30)
    assert answer.status_code == 401
    assert "canary-token-1234" not in answer.text
