# SPDX-License-Identifier: Apache-2.0
"""Simulated hosts for tests on one machine: containers with a dockerd each, their network and a registry.

`hosts` starts them for Ansible, `../swarm/nodes` as a Swarm. Requires access to a local Docker, and the images of this
collection (`playbooks/build.yml`).
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

# Privileges of dockerd in a container; --privileged also requires CAP_SYS_RESOURCE, which some machines do not grant.
CONFINEMENT = (
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)
# Contains the Python libraries of Ansible's modules, so that the hosts do not download them.
DOCKERFILE = """\
ARG BASE
FROM $BASE
USER root
RUN apt-get -q update \\
 && DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Options::=--force-confold install --no-install-recommends \\
    docker.io docker-cli docker-registry iptables iproute2 python3-docker python3-openstacksdk python3-pymysql \\
 && rm -rf /var/lib/apt/lists/*
"""
REGISTRY_CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: ":5000"}
"""
# The host's init: restarts dockerd like systemd, and exits when the host is stopped.
INIT = 'trap "exit 0" TERM; while :; do dockerd "$@"; sleep 1; done'
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HostsError(Exception):
    """A failure with a message for the user."""


def run(*command: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Run a command and return its output; with `check`, raise HostsError with its output if it fails."""
    words = [str(part) for part in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise HostsError(
            f"`{' '.join(words)}` failed with status {done.returncode}: {(done.stderr or done.stdout).strip()}"
        )
    return done.stdout.strip()


def docker(*command: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Run a command of the local Docker client and return its output."""
    return run("docker", *command, stdin=stdin, check=check)


def wait_for(what: str, ready: Callable[[], object], seconds: float) -> None:
    """Call `ready` until it returns true; raise HostsError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise HostsError(f"{what}: timeout after {seconds:.0f} s; check `docker logs`")
        time.sleep(0.2)


class ContainerHosts:
    """Simulated hosts, their network and their registry; the names of all their Docker objects start with `prefix`.

    In `subnet` .1 is the local machine, .10 the registry, .11 the first host. `port` is the registry's port on
    127.0.0.1 for pushing. `state` is a local directory that the hosts mount as /state, with a socket of each Docker.
    `images` and `tag` are prefix and tag of the collection's images. `bridge` is the network's local interface.
    `daemons` is the content of the hosts' daemon.json, by the host's name without prefix.
    """

    def __init__(
        self,
        prefix: str,
        names: Iterable[str],
        subnet: str,
        state: Path,
        port: int,
        *,
        images: str = "kolla/",
        tag: str = "2026.1-debian-trixie",
        bridge: str = "",
        daemons: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.prefix = prefix
        self.names = [f"{prefix}-{name}" for name in names]
        self.subnet: Network = ipaddress.ip_network(subnet)
        self.state = state
        self.port = port
        self.images = images
        self.tag = tag
        self.bridge = bridge
        self.daemons = {f"{prefix}-{name}": daemon for name, daemon in (daemons or {}).items()}
        self.image = f"{prefix}-host"
        self.registry_name = f"{prefix}-registry"
        self.registry = f"{self.subnet[10]}:5000"

    def log(self, message: str) -> None:
        """Print a message to stderr."""
        print(f"{self.prefix}: {message}", file=sys.stderr, flush=True)

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return str(self.subnet[11 + self.names.index(host)])

    def on(self, host: str, *command: str | Path, check: bool = True) -> str:
        """Run a command of the Docker client against the Docker of a host."""
        return docker("exec", host, "docker", "-H", f"unix:///state/{host}.sock", *command, check=check)

    def is_up(self) -> bool:
        """Return whether the registry and all hosts run."""
        return all(
            docker("inspect", "-f", "{{.State.Status}}", name, check=False) == "running"
            for name in (self.registry_name, *self.names)
        )

    def up(self, pushed: Iterable[tuple[str, Iterable[str]]], volumes: Iterable[str] = ()) -> None:
        """Create image, network, registry and hosts, after removing existing ones.

        `pushed` lists images of the collection with their tags in the registry; `volumes` are additional mounts.
        """
        self.down(keep_image=True)
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o755)
        self.log(f"building {self.image}")
        docker(
            "build", "--quiet", "--force-rm", "--network=host", "--tag", self.image,
            f"--build-arg=BASE={self.images}base:{self.tag}", "-",
            stdin=DOCKERFILE,
        )  # fmt: skip
        named = [f"--opt=com.docker.network.bridge.name={self.bridge}"] if self.bridge else []
        docker("network", "create", "--subnet", str(self.subnet), *named, self.prefix)
        self._start_registry()
        for host in self.names:
            self._start(host, volumes)
        for image, tags in pushed:
            for tag in tags:
                self._push(image, tag)
        for host in self.names:
            self._wait_for_dockerd(host)

    def _wait_for_dockerd(self, host: str) -> None:
        wait_for(f"start of dockerd on {host}", partial(self.on, host, "info", "-f", "{{.ID}}", check=False), 60)

    def restart_dockerd(self, host: str) -> None:
        """Restart the dockerd of a host, as after a change of daemon.json."""
        before = docker("exec", host, "cat", "/run/docker.pid")
        docker("exec", host, "kill", before)
        # Includes the time in which its containers stop.
        wait_for(
            f"restart of dockerd on {host}",
            lambda: docker("exec", host, "cat", "/run/docker.pid", check=False) not in ("", before),
            120,
        )
        self._wait_for_dockerd(host)

    def reboot(self, *hosts: str) -> None:
        """Stop all given hosts at once, and start them."""
        docker("stop", "--time", "120", *hosts)
        docker("start", *hosts)
        for host in hosts:
            self._wait_for_dockerd(host)

    def _start_registry(self) -> None:
        (self.state / "registry.yml").write_text(REGISTRY_CONFIG)
        docker(
            "run", "--detach", "--name", self.registry_name, "--network", self.prefix, "--ip", str(self.subnet[10]),
            "--publish", f"127.0.0.1:{self.port}:5000", "--volume", "/var/lib/docker-registry",
            "--volume", f"{self.state}/registry.yml:/registry.yml:ro", "--entrypoint", "docker-registry",
            self.image, "serve", "/registry.yml",
        )  # fmt: skip
        wait_for("start of the registry", lambda: "listening on" in self._logs(self.registry_name), 20)

    @staticmethod
    def _logs(name: str) -> str:
        done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def _push(self, image: str, tag: str) -> None:
        # Docker accepts a registry without TLS on 127.0.0.1.
        name = f"127.0.0.1:{self.port}/kolla/{image}:{tag}"
        self.log(f"pushing {image}:{tag}")
        docker("tag", f"{self.images}{image}:{self.tag}", name)
        try:
            docker("push", "--quiet", name)
        finally:
            docker("rmi", name)

    def _start(self, host: str, volumes: Iterable[str]) -> None:
        self.log(f"starting {host}")
        daemon = self.state / f"{host}.json"
        daemon.write_text(json.dumps(self.daemons.get(host, {})))
        docker(
            "run", "--detach", "--name", host, "--hostname", host, "--network", self.prefix, "--ip", self.address(host),
            *CONFINEMENT, "--volume", f"{host}:/var/lib/docker", "--volume", f"{self.state}:/state",
            *(f"--volume={volume}" for volume in volumes), "--volume", f"{daemon}:/etc/docker/daemon.json:ro",
            # The default of a host; dockerd enables it if its settings allow that.
            "--sysctl=net.ipv4.ip_forward=0",
            "--tmpfs", "/run:exec", "--entrypoint", "dumb-init", self.image, "--", "sh", "-c", INIT,
            "dockerd", f"--host=unix:///state/{host}.sock", "--host=unix:///var/run/docker.sock",
            f"--insecure-registry={self.registry}",
            # A separate group, so that down can remove the groups that killed hosts leave on cgroup v1.
            f"--cgroup-parent=/{self.prefix}",
        )  # fmt: skip

    def down(self, keep_image: bool = False) -> None:
        """Remove everything that exists."""
        names = docker("ps", "-aq", "--filter", f"name=^/{self.prefix}-").split()
        if names:
            docker("rm", "--force", "--volumes", *names)
        volumes = docker("volume", "ls", "-q", "--filter", f"name=^{self.prefix}-").split()
        if volumes:
            docker("volume", "rm", *volumes)
        docker("network", "rm", self.prefix, check=False)
        for group in Path("/sys/fs/cgroup").glob(f"**/{self.prefix}"):
            for inner in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                inner.rmdir()
            group.rmdir()
        shutil.rmtree(self.state, ignore_errors=True)
        if not keep_image:
            docker("rmi", self.image, check=False)
