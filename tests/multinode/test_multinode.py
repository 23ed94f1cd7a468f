# SPDX-License-Identifier: Apache-2.0
"""Three hosts: what is right for each, what one may miss, and what happens when one is down, or was."""

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
ADDRESSES = {host: f"172.31.251.{number}" for number, host in enumerate(HOSTS, 11)}
# What Qinling needs, and the load balancer in front of it, is on the machine that the hosts run on.
BACKING = "172.31.251.1"
# Greets; asked for URLs, answers with the status that each has for a function.
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
    """The deployment on the hosts."""

    def run_playbook(self, playbook: str, *arguments: str) -> tuple[int, str]:
        """Run a playbook as an operator does; return how it ended and what it printed."""
        command = ["ansible-playbook", "-i", "molecule/multinode/hosts", "-e", f"kolla_config_dir={self.directory}"]
        done = subprocess.run(
            [*command, *arguments, f"playbooks/{playbook}.yml"],
            cwd=PROJECT, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def docker(self, host: str, *command: str) -> str:
        """Return what a host's Docker client prints."""
        return run("docker", "exec", host, "docker", *command)

    @property
    def functions(self) -> str:
        """The name of the functions' network."""
        return f"{self.prefix.replace('_', '-')}qinling-functions"

    def containers(self, host: str) -> dict[str, str]:
        """Return the ids of a host's containers of this deployment by name, without prefix."""
        shown = self.docker(
            host, "ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}", "--filter", f"name=^/{self.prefix}"
        )
        return {name.removeprefix(self.prefix): number for name, number in map(str.split, shown.splitlines())}

    def configuration(self, host: str, service: str) -> configparser.ConfigParser:
        """Return a service's qinling.conf as it has it on a host."""
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
    """A function whose package the third host took."""
    runtimes = wait_for("the runtime", lambda: available(qinling))
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
    """Talk to the API of one host, or to the load balancer."""
    qinling.endpoint = f"http://{ADDRESSES[host] if host else BACKING}:7070"


def answers(qinling: Qinling, function: str, name: str) -> bool:
    """Tell whether a function is executed, by any engine; a failure on the way is none of its own."""
    try:
        answer = qinling.session.post(
            f"{qinling.endpoint}/v1/executions",
            json={"function_id": function, "input": f'{{"name": "{name}"}}'},
            timeout=60,
        )
    except requests.RequestException:
        return False
    return answer.status_code == 201 and f"Hello, {name}" in str(answer.json().get("result"))


def test_each_configuration_is_right_for_its_host(hosts: Hosts) -> None:
    for host, address in ADDRESSES.items():
        services = ["qinling_api", "qinling_engine"] if host in ENGINES else ["qinling_api"]
        relay = ["qinling_relay"] if host in ENGINES else []
        assert sorted(hosts.containers(host)) == [*services, *relay]
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


def test_the_engines_share_a_swarm_that_outlives_a_host(hosts: Hosts) -> None:
    states = [hosts.docker(host, "info", "-f", "{{.Swarm.Cluster.ID}} {{.Swarm.ControlAvailable}}") for host in HOSTS]
    assert len(set(states)) == 1
    assert states[0].endswith("true\n")


def test_the_hosts_docker_and_the_swarm_are_of_other_kinds(hosts: Hosts) -> None:
    """What the other tests stand on: as tests/hosts/hosts and the scenario's prepare.yml made them."""

    def subnet(host: str, network: str) -> str:
        return hosts.docker(host, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network).strip()

    assert "bridge" not in hosts.docker(HOSTS[0], "network", "ls", "--format", "{{.Name}}").split()
    assert subnet(HOSTS[1], "bridge") == "10.200.0.0/24"
    networks = [subnet(host, hosts.functions) for host in ENGINES]
    assert [network.startswith("172.30.") for network in networks] == [True, True]


def test_functions_get_the_api_alone_from_any_relay(hosts: Hosts, qinling: Qinling, function: str) -> None:
    """What bridges and pools the hosts have decides nothing here: the engine's side is closed to functions."""
    described = [json.loads(hosts.docker(host, "inspect", f"{hosts.prefix}qinling_relay"))[0] for host in ENGINES]
    relays = [container["NetworkSettings"]["Networks"][hosts.functions]["IPAddress"] for container in described]
    urls = [f"http://{relay}:{side}" for relay in relays for side in ("7070/healthcheck", "7071/health")]
    execution = qinling.execute(function, input=json.dumps({"urls": urls}))
    assert execution["status"] == "success", execution
    assert json.loads(execution["result"])["output"] == [200, 403, 200, 403]


def test_every_api_knows_what_another_took(qinling: Qinling, function: str) -> None:
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
def test_either_engine_does_and_does_again(
    hosts: Hosts, qinling: Qinling, function: str, way: str, engine: str, other: str
) -> None:
    """Without the other one; and without a command after its Docker or its host, a manager of three, was restarted."""
    hosts.docker(other, "stop", "--time", "30", f"{hosts.prefix}qinling_engine")
    try:
        assert answers(qinling, function, "you")
        start = time.monotonic()
        run(SCRIPT, way, engine)
        wait_for("executions through each API", lambda: all_answer(qinling, function), 180)
        print(f"{way} of {engine}: answers after {time.monotonic() - start:.0f} s")
    finally:
        hosts.docker(other, "start", f"{hosts.prefix}qinling_engine")
    wait_for("the engines' health", lambda: all(healthy(hosts, each) for each in ENGINES))


def healthy(hosts: Hosts, host: str) -> bool:
    """Tell whether all containers of a host are healthy, none of them stopped."""
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
def lost() -> Iterator[str]:
    """The first host, which does once what is done once, is down."""
    run(SCRIPT, "lose", HOSTS[0])
    yield HOSTS[0]
    if run("docker", "inspect", "-f", "{{.State.Paused}}", HOSTS[0]).strip() == "true":
        run(SCRIPT, "find", HOSTS[0])


def test_one_broken_file_stops_all_hosts(hosts: Hosts, overrides: Path) -> None:
    before = {host: hosts.containers(host) for host in HOSTS}
    (overrides / HOSTS[0] / "qinling.conf").write_text("[api]\napi_threads = 6\n")
    (overrides / HOSTS[2] / "qinling.conf").write_text("no sense\n")
    code, text = hosts.run_playbook("reconfigure")
    assert code == 2
    assert "multinode-3/qinling.conf:1" in text
    assert {host: hosts.containers(host) for host in HOSTS} == before


def test_hosts_that_are_left_go_on(hosts: Hosts, qinling: Qinling, function: str, overrides: Path, lost: str) -> None:
    """One test, because a lost host is waited for by a Swarm, and each run takes its time."""
    left = [host for host in HOSTS if host != lost]
    before = {host: hosts.containers(host) for host in left}
    for host in ENGINES:
        (overrides / host / "qinling.conf").write_text("[engine]\nfunction_concurrency = 4\n")

    # --limit: this host alone; the one that is down does not matter.
    code, text = hosts.run_playbook("reconfigure", "--limit", left[0])
    assert code == 0, text[-6000:]
    after = {host: hosts.containers(host) for host in left}
    changed = {host: {name for name in before[host] if before[host][name] != after[host][name]} for host in left}
    assert changed == {left[0]: {"qinling_api", "qinling_engine"}, left[1]: set()}
    wait_for("an execution without the first host", lambda: answers(qinling, function, "you"), 120)

    # All, one at a time: the lost one is named, the others are done.
    (overrides / left[0] / "qinling.conf").unlink()
    code, text = hosts.run_playbook("reconfigure", "-e", "kolla_serial=1")
    assert code == 4, text[-6000:]
    assert f"Not reached: {lost}." in text
    assert f"--limit {lost}" in text
    again = {host: hosts.containers(host) for host in left}
    changed = {host: {name for name in after[host] if after[host][name] != again[host][name]} for host in left}
    assert changed == {left[0]: {"qinling_api", "qinling_engine"}, left[1]: set()}

    # It is back, and gets what it missed.
    run(SCRIPT, "find", lost)
    missed = hosts.containers(lost)
    code, text = hosts.run_playbook("reconfigure", "--limit", lost)
    assert code == 0, text[-6000:]
    assert [name for name, number in hosts.containers(lost).items() if missed[name] != number] == [
        "qinling_engine", "qinling_api",
    ]  # fmt: skip
    assert "function_concurrency" in dict(hosts.configuration(lost, "qinling_engine")["engine"])
    wait_for("executions through each", lambda: all_answer(qinling, function), 120)


def all_answer(qinling: Qinling, function: str) -> bool:
    found: list[Any] = []
    for host in HOSTS:
        through(qinling, host)
        found.append(answers(qinling, function, host))
    through(qinling, None)
    return all(found)
