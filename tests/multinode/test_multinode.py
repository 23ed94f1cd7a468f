# SPDX-License-Identifier: Apache-2.0
"""Tests of a deployment on three hosts: configuration of each host, sharing between hosts, and outages of hosts."""

from __future__ import annotations

import configparser
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from deployment import PROJECT, Deployment, run
from qinling_http import Qinling, wait_for

ENGINES = ["multinode-1", "multinode-2"]
HOSTS = [*ENGINES, "multinode-3"]
ADDRESSES = {host: f"198.18.251.{number}" for number, host in enumerate(HOSTS, 11)}
# The local machine runs the backing services and the load balancer.
BACKING = "198.18.251.1"
# Returns a greeting, or the status of each of the given URLs.
SOURCE = """
import urllib.error, urllib.request

def status(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code

def main(name="?", urls=()):
    return [status(url) for url in urls] or f"Hello, {name}"
"""
SCRIPT = str(PROJECT / "tests/hosts/hosts")


class Hosts(Deployment):
    """The deployment on the simulated hosts."""

    def run_playbook(self, playbook: str, *arguments: str) -> tuple[int, str]:
        """Run a playbook and return its exit status and output."""
        command = ["ansible-playbook", "-i", "molecule/multinode/hosts", "-e", f"kolla_config_dir={self.directory}"]
        done = subprocess.run(
            [*command, *arguments, f"playbooks/{playbook}.yml"],
            cwd=PROJECT, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def docker(self, host: str, *command: str) -> str:
        """Run a command of a host's Docker client and return its output."""
        return run("docker", "exec", host, "docker", *command)

    @property
    def functions(self) -> str:
        """Return the name of the functions' network."""
        return f"{self.prefix.replace('_', '-')}qinling-functions"

    def containers(self, host: str) -> dict[str, str]:
        """Return the IDs of the deployment's containers on a host, by name without prefix."""
        shown = self.docker(
            host, "ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}", "--filter", f"name=^/{self.prefix}"
        )
        return {name.removeprefix(self.prefix): number for name, number in map(str.split, shown.splitlines())}

    def configuration(self, host: str, service: str) -> configparser.ConfigParser:
        """Return the qinling.conf in the container of a service on a host."""
        conf = configparser.ConfigParser(interpolation=None, strict=False)
        conf.read_string(self.docker(host, "exec", self.prefix + service, "cat", "/etc/qinling/qinling.conf"))
        return conf


@pytest.fixture(scope="module")
def hosts(deployment: Deployment) -> Hosts:
    return Hosts(deployment.directory)


@pytest.fixture(scope="module")
def qinling(hosts: Hosts) -> Qinling:
    return Qinling(hosts.directory / "clouds.yaml")


@pytest.fixture(scope="module")
def function(qinling: Qinling) -> Iterator[str]:
    """Return a function whose package was uploaded to the third host."""
    runtimes = wait_for("runtime", lambda: available(qinling))
    through(qinling, HOSTS[2])
    created: str = qinling.create_function(runtimes[0], SOURCE)["id"]
    through(qinling, None)
    yield created
    for execution in qinling.call("GET", "executions", 200)["executions"]:
        qinling.call("DELETE", f"executions/{execution['id']}", 204)
    qinling.call("DELETE", f"functions/{created}", 204)


def available(qinling: Qinling) -> list[str]:
    found = qinling.call("GET", "runtimes", 200)["runtimes"]
    return [entry["id"] for entry in found if entry["name"] == "python3" and entry["status"] == "available"]


def through(qinling: Qinling, host: str | None) -> None:
    """Direct requests to the API of a host, or to the load balancer."""
    qinling.endpoint = f"http://{ADDRESSES[host] if host else BACKING}:7070"


def answers(qinling: Qinling, function: str, name: str) -> bool:
    """Return whether an execution succeeds on any engine; connection errors count as failures."""
    try:
        answer = qinling.session.post(
            f"{qinling.endpoint}/v1/executions",
            json={"function_id": function, "input": f'{{"name": "{name}"}}'},
            timeout=60,
        )
    except requests.RequestException:
        return False
    return answer.status_code == 201 and f"Hello, {name}" in str(answer.json().get("result"))


def test_configuration_matches_host(hosts: Hosts) -> None:
    for host, address in ADDRESSES.items():
        services = ["qinling_api", "qinling_engine"] if host in ENGINES else ["qinling_api"]
        gateway = ["qinling_gateway"] if host in ENGINES else []
        assert sorted(hosts.containers(host)) == [*services, *gateway]
        for service in services:
            conf = hosts.configuration(host, service)
            assert conf["etcd"]["host"] == BACKING
            assert f"@{BACKING}:{hosts.settings['database_port']}/" in conf["database"]["connection"]
            assert conf["DEFAULT"]["transport_url"].endswith(f"@{BACKING}:{hosts.settings['rabbitmq_port']}//")
            own = conf["api" if service == "qinling_api" else "engine"]
            assert own["host"] == address
        # Only the API validates tokens.
        servers = hosts.configuration(host, "qinling_api")["keystone_authtoken"]["memcached_servers"]
        assert servers == f"{BACKING}:{hosts.settings['memcached_port']}"


def test_all_hosts_are_managers_of_one_swarm(hosts: Hosts) -> None:
    states = [hosts.docker(host, "info", "-f", "{{.Swarm.Cluster.ID}} {{.Swarm.ControlAvailable}}") for host in HOSTS]
    assert len(set(states)) == 1
    assert states[0].endswith("true\n")


def test_hosts_have_different_networks(hosts: Hosts) -> None:
    """The other tests require the networks of tests/hosts/hosts and of the scenario's prepare.yml."""

    def subnet(host: str, network: str) -> str:
        return hosts.docker(host, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network).strip()

    assert "bridge" not in hosts.docker(HOSTS[0], "network", "ls", "--format", "{{.Name}}").split()
    assert subnet(HOSTS[1], "bridge") == "10.200.0.0/24"
    networks = [subnet(host, hosts.functions) for host in ENGINES]
    assert [network.startswith("172.30.") for network in networks] == [True, True]


def test_functions_reach_only_api_through_gateways(hosts: Hosts, qinling: Qinling, function: str) -> None:
    """Independent of the bridges and address pools of the hosts, the engine's port is closed to functions."""
    described = [json.loads(hosts.docker(host, "inspect", f"{hosts.prefix}qinling_gateway"))[0] for host in ENGINES]
    gateways = [container["NetworkSettings"]["Networks"][hosts.functions]["IPAddress"] for container in described]
    urls = [f"http://{gateway}:{side}" for gateway in gateways for side in ("7070/healthcheck", "7071/health")]
    execution = qinling.execute(function, input=json.dumps({"urls": urls}))
    assert execution["status"] == "success", execution
    assert json.loads(execution["result"])["output"] == [200, 403, 200, 403]


def test_package_is_available_on_all_apis(qinling: Qinling, function: str) -> None:
    packages = set()
    for host in HOSTS:
        through(qinling, host)
        answer = qinling.session.get(f"{qinling.endpoint}/v1/functions/{function}?download=true", timeout=30)
        assert answer.status_code == 200
        packages.add(answer.content)
        assert answers(qinling, function, host)
    through(qinling, None)
    assert len(packages) == 1


@pytest.mark.parametrize(("way", "engine", "other"), [("restart", *ENGINES), ("reboot", *reversed(ENGINES))])
def test_engine_recovers_alone(
    hosts: Hosts, qinling: Qinling, function: str, way: str, engine: str, other: str
) -> None:
    """One engine suffices, and after a restart of its Docker or host it recovers without intervention."""
    hosts.docker(other, "stop", "--time", "30", f"{hosts.prefix}qinling_engine")
    try:
        assert answers(qinling, function, "you")
        start = time.monotonic()
        run(SCRIPT, way, engine)
        wait_for("executions through all APIs", lambda: all_answer(qinling, function), 180)
        print(f"{way} of {engine}: answers after {time.monotonic() - start:.0f} s")
    finally:
        hosts.docker(other, "start", f"{hosts.prefix}qinling_engine")
    wait_for("health of the engines", lambda: all(healthy(hosts, each) for each in ENGINES))


def healthy(hosts: Hosts, host: str) -> bool:
    """Return whether all containers of a host run and are healthy."""
    shown = hosts.docker(host, "ps", "--all", "--format", "{{.Status}}", "--filter", f"name=^/{hosts.prefix}")
    return all("(healthy)" in status for status in shown.splitlines())


@pytest.fixture
def overrides(hosts: Hosts) -> Iterator[Path]:
    folder = hosts.directory / "config/qinling"
    for host in HOSTS:
        (folder / host).mkdir(parents=True, exist_ok=True)
    yield folder
    for host in HOSTS:
        (folder / host / "qinling.conf").unlink(missing_ok=True)


@pytest.fixture
def paused() -> Iterator[str]:
    """Pause the first host, which also runs the tasks of one host for all; return its name."""
    run(SCRIPT, "pause", HOSTS[0])
    yield HOSTS[0]
    if run("docker", "inspect", "-f", "{{.State.Paused}}", HOSTS[0]).strip() == "true":
        run(SCRIPT, "unpause", HOSTS[0])


def test_invalid_file_of_one_host_stops_all_hosts(hosts: Hosts, overrides: Path) -> None:
    before = {host: hosts.containers(host) for host in HOSTS}
    (overrides / HOSTS[0] / "qinling.conf").write_text("[api]\napi_threads = 6\n")
    (overrides / HOSTS[2] / "qinling.conf").write_text("no sense\n")
    code, text = hosts.run_playbook("reconfigure")
    assert code == 2
    assert "multinode-3/qinling.conf:1" in text
    assert {host: hosts.containers(host) for host in HOSTS} == before


def test_remaining_hosts_are_reconfigured(
    hosts: Hosts, qinling: Qinling, function: str, overrides: Path, paused: str
) -> None:
    """One test for all runs, because the Swarm waits for a paused host, and runs take long."""
    remaining = [host for host in HOSTS if host != paused]
    before = {host: hosts.containers(host) for host in remaining}
    for host in ENGINES:
        (overrides / host / "qinling.conf").write_text("[engine]\nfunction_concurrency = 4\n")

    # --limit selects one host; the paused host does not matter.
    code, text = hosts.run_playbook("reconfigure", "--limit", remaining[0])
    assert code == 0, text[-6000:]
    after = {host: hosts.containers(host) for host in remaining}
    changed = {host: {name for name in before[host] if before[host][name] != after[host][name]} for host in remaining}
    assert changed == {remaining[0]: {"qinling_api", "qinling_engine"}, remaining[1]: set()}
    wait_for("execution without the first host", lambda: answers(qinling, function, "you"), 120)

    # All hosts, one at a time: the play reports the paused host and reconfigures the others.
    (overrides / remaining[0] / "qinling.conf").unlink()
    code, text = hosts.run_playbook("reconfigure", "-e", "kolla_serial=1")
    assert code == 4, text[-6000:]
    assert f"Not reached: {paused}." in text
    assert f"--limit {paused}" in text
    again = {host: hosts.containers(host) for host in remaining}
    changed = {host: {name for name in after[host] if after[host][name] != again[host][name]} for host in remaining}
    assert changed == {remaining[0]: {"qinling_api", "qinling_engine"}, remaining[1]: set()}

    # After its return the host gets the changes.
    run(SCRIPT, "unpause", paused)
    outdated = hosts.containers(paused)
    code, text = hosts.run_playbook("reconfigure", "--limit", paused)
    assert code == 0, text[-6000:]
    assert [name for name, number in hosts.containers(paused).items() if outdated[name] != number] == [
        "qinling_engine", "qinling_api",
    ]  # fmt: skip
    assert "function_concurrency" in dict(hosts.configuration(paused, "qinling_engine")["engine"])
    wait_for("executions through all APIs", lambda: all_answer(qinling, function), 120)


def all_answer(qinling: Qinling, function: str) -> bool:
    found: list[Any] = []
    for host in HOSTS:
        through(qinling, host)
        found.append(answers(qinling, function, host))
    through(qinling, None)
    return all(found)
