# SPDX-License-Identifier: Apache-2.0
"""The sides of the benchmark: configuration, playbooks and substitutes of this collection and Kolla Ansible."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from bench_figures import Operations, operations

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
sys.path.insert(0, str(PROJECT / "tests" / "kolla"))
from kolla_cloud import Cloud, authority, download_wheel  # noqa: E402

TAG = "2026.1-debian-trixie"
PEER_IMAGE = "bench/magnum:stand-in"
BACKING_SERVICES = ["etcd", "mariadb", "rabbitmq", "memcached", "keystone"]
PREFIX = "qbench_"
PORTS = {
    "database_port": 20306,
    "rabbitmq_port": 20672,
    "rabbitmq_cluster_port": 20673,
    "rabbitmq_epmd_port": 20369,
    "memcached_port": 20211,
    "etcd_client_port": 20379,
    "etcd_peer_port": 20380,
    "keystone_public_port": 20500,
    "keystone_internal_port": 20500,
}


class RunError(Exception):
    """A failed command; the message contains the end of its output."""


@dataclass(frozen=True)
class Ran:
    """A measured run of ansible-playbook."""

    start: float
    seconds: float
    cpu: float
    counted: Operations
    report: dict[str, Any]


def command(*arguments: str, text: str = "") -> str:
    """Run a command with the input `text` and return its output; raise RunError if it fails."""
    done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise RunError(f"{' '.join(arguments[:6])}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def with_mounts(mounts: Sequence[tuple[Path, str]], arguments: Sequence[str]) -> list[str]:
    """Return a command that runs `arguments` in a mount namespace with bind mounts (source, target)."""
    if not mounts:
        return list(arguments)
    script = 'n=$1; shift; while [ "$n" -gt 0 ]; do mount --bind "$1" "$2"; shift 2; n=$((n-1)); done; exec "$@"'
    pairs = [text for source, target in mounts for text in (str(source), target)]
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-ec",
        script,
        "sh",
        str(len(mounts)),
        *pairs,
        *arguments,
    ]


def names(count: int) -> list[str]:
    """Return the names of a number of hosts."""
    return [f"bench{number}" for number in range(1, count + 1)]


def inventory(hosts: Sequence[str], first: Sequence[str], every: Sequence[str], python: str) -> str:
    """Return an inventory, with groups of the first host, groups of every host, and the Python of the hosts."""
    lines = [
        "[control]",
        *(f"{host} ansible_connection=bench_local ansible_python_interpreter={python}" for host in hosts),
    ]
    for group in first:
        lines += ["", f"[{group}]", hosts[0]]
    for group in every:
        lines += ["", f"[{group}:children]", "control"]
    return "\n".join([*lines, "", "[deployment]", "", "[loadbalancer]", ""])


class FakeDocker:
    """A process that simulates the Docker of hosts."""

    def __init__(self, folder: Path, images: Sequence[str]) -> None:
        self.socket = folder / "docker.sock"
        self.log = (folder / "docker.log").open("w")
        program = [sys.executable, str(HERE / "fake_docker.py"), str(self.socket), *images]
        self.process = subprocess.Popen(program, stderr=self.log)
        limit = time.monotonic() + 10
        while not self.socket.exists():
            if time.monotonic() > limit or self.process.poll() is not None:
                raise RunError(f"the simulated Docker did not start: {(folder / 'docker.log').read_text()}")
            time.sleep(0.02)

    def reset(self, networks: bool) -> None:
        """Remove all simulated containers and volumes, and networks if requested."""
        connection = http.client.HTTPConnection("docker")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(str(self.socket))
        connection.request("POST", "/bench/reset" if networks else "/bench/reset?networks=keep")
        connection.getresponse().read()
        connection.close()

    def close(self) -> None:
        """Stop the process."""
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Side:
    """A side of the benchmark, with its own directory, on real or simulated hosts."""

    images: list[str] = []

    def __init__(self, folder: Path, hosts: int, real: bool, forks: int) -> None:
        self.folder, self.hosts, self.real, self.forks = folder, names(hosts), real, forks
        self.node = folder / "node"
        self.config = folder / "config"
        self.config.mkdir(parents=True)
        self.count = 0
        self.docker = None if real else FakeDocker(folder, self.images)

    @property
    def mounts(self) -> list[tuple[Path, str]]:
        """Return the bind mounts (source, target) of playbook runs."""
        return [(self.docker.socket, "/var/run/docker.sock")] if self.docker else []

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of Ansible that are specific to the side."""
        raise NotImplementedError

    def play(self, arguments: Sequence[str]) -> Ran:
        """Run and measure a command of ansible-playbook; raise RunError if it fails."""
        log, counts, tasks = (self.folder / name for name in ("run.log", "operations", "tasks.json"))
        counts.write_text("")
        tasks.unlink(missing_ok=True)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "BENCH_"))}
        environment = {
            **inherited,
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection"),
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "bench_tasks",
            "ANSIBLE_FORKS": str(self.forks),
            "ANSIBLE_NOCOLOR": "1",
            "BENCH_OPERATIONS": str(counts),
            "BENCH_TASKS": str(tasks),
            **self.environment,
        }
        with log.open("w") as output:
            start, begin = time.time(), time.monotonic()
            process = subprocess.Popen(
                with_mounts(self.mounts, arguments),
                cwd=PROJECT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                _pid, status, used = os.wait4(process.pid, 0)
            except BaseException:
                # When the benchmark is terminated, it terminates the playbook.
                process.terminate()
                process.wait()
                raise
            seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or not tasks.exists():
            raise RunError(
                f"{' '.join(arguments[-3:])} failed with status {process.returncode}:\n{log.read_text()[-6000:]}"
            )
        report = json.loads(tasks.read_text())
        return Ran(start, seconds, used.ru_utime + used.ru_stime, operations(counts.read_text()), report)

    def set_option(self) -> None:
        """Change an option of the API."""
        raise NotImplementedError

    def rotate(self) -> None:
        """Replace the CA's certificate, which is copied to all containers."""
        place = self.folder / "certificates/ca"
        place.mkdir(parents=True, exist_ok=True)
        (place / "root.crt").write_text(authority())

    def forget(self, name: str) -> None:
        """Remove configuration and simulated containers from the hosts, before a first deploy of the side `name`."""
        shutil.rmtree(self.node, ignore_errors=True)
        if self.docker:
            # The functions' network belongs to the whole deployment.
            self.docker.reset(networks=name != "containers")

    def close(self) -> None:
        """Remove everything that the side created."""
        if self.docker:
            self.docker.close()


def remove_containers(*containers: str) -> None:
    """Remove containers if they exist."""
    subprocess.run(["docker", "rm", "--force", "--volumes", *containers], capture_output=True, check=False)


def sweep() -> None:
    """Remove leftovers of a killed benchmark: functions' workers, containers, volumes and the network."""
    named = ["--filter", f"name=^{PREFIX}"]
    network = f"{PREFIX.replace('_', '-')}qinling-functions"
    for listing, removing in (
        (["service", "ls", "--filter", f"label=qinling.kolla/instance={network}"], ["service", "rm"]),
        (["container", "ls", "--all", *named], ["container", "rm", "--force"]),
        (["volume", "ls", *named], ["volume", "rm", "--force"]),
        (["network", "ls", "--filter", f"name=^{network}$"], ["network", "rm"]),
    ):
        # Without a Swarm, listing services fails. Removing a network fails until its last worker has stopped.
        for _attempt in range(30):
            listed = subprocess.run(["docker", *listing, "--quiet"], capture_output=True, text=True, check=False)
            if not listed.stdout.split():
                break
            subprocess.run(["docker", *removing, *listed.stdout.split()], capture_output=True, check=False)
            time.sleep(0.5 if removing[0] == "network" else 0)


class Kolla(Side):
    """kolla-ansible's role magnum, with two containers on each host."""

    images = [PEER_IMAGE]
    containers = {"magnum_api": f"{PREFIX}magnum_api", "magnum_conductor": f"{PREFIX}magnum_conductor"}
    volumes = {"kolla_logs": f"{PREFIX}peer_logs", "magnum": f"{PREFIX}magnum"}

    def __init__(self, folder: Path, hosts: int, real: bool, forks: int) -> None:
        super().__init__(folder, hosts, real, forks)
        self.units = folder / "units"
        self.units.mkdir()
        self.peer = peer()
        self.share = self.peer / "share/kolla-ansible"
        self.ansible = self.share / "ansible"
        cloud = Cloud(folder, self.share)
        cloud.settings = {
            **PORTS,
            "network_interface": "lo",
            "kolla_internal_vip_address": "127.0.0.2",
            "enable_magnum": "yes",
            "enable_proxysql": "no",
            "kolla_copy_ca_into_containers": "yes",
            # Kolla's raised ulimits require a capability that some machines do not grant.
            "default_container_dimensions": {},
            "node_config": f"{self.node}/{{{{ inventory_hostname }}}}",
            "node_config_directory": f"{self.node}/{{{{ inventory_hostname }}}}",
            "node_custom_config": str(self.config),
            "kolla_certificates_dir": str(folder / "certificates"),
            "magnum_api_image_full": PEER_IMAGE,
            "magnum_conductor_image_full": PEER_IMAGE,
            "magnum_api_listen_port": 20511,
            **self.isolated_variables(),
        }
        cloud.write()
        place = folder / "inventory"
        place.mkdir()
        (place / "group_vars").symlink_to(self.ansible / "group_vars")
        every = ["baremetal", "magnum", "magnum-api", "magnum-conductor"]
        (place / "hosts").write_text(inventory(self.hosts, BACKING_SERVICES, every, f"{self.peer}/bin/python"))
        (folder / "ansible.cfg").write_text(
            "[defaults]\nhost_key_checking = False\n\n[connection]\npipelining = True\n"
        )
        (folder / "site.yml").write_text(yaml.safe_dump(self.playbook(), sort_keys=False))

    def isolated_variables(self) -> dict[str, Any]:
        """Return the role's variables of containers and volumes, with names specific to the benchmark."""
        found = yaml.safe_load((self.ansible / "roles/magnum/defaults/main.yml").read_text())
        services = found["magnum_services"]
        for service in services.values():
            service["container_name"] = self.containers[service["container_name"]]
        lists = {name: value for name, value in found.items() if name.endswith("_default_volumes")}
        for name, value in lists.items():
            lists[name] = [
                ":".join([self.volumes.get(volume.split(":")[0], volume.split(":")[0]), *volume.split(":")[1:]])
                if "{{" not in volume.split(":")[0]
                else volume
                for volume in value
            ]
        return {"magnum_services": services, **lists}

    def playbook(self) -> list[dict[str, Any]]:
        """Return the plays: Kolla's gathering of facts, then configuration and containers of the role."""
        steps = ("config.yml", "check-containers.yml")
        return [
            {"import_playbook": str(self.ansible / "gather-facts.yml")},
            {
                "name": "Configuration and containers of magnum",
                "hosts": ["magnum-api", "magnum-conductor"],
                "gather_facts": False,
                "tasks": [{"ansible.builtin.import_role": {"name": "magnum", "tasks_from": step}} for step in steps],
            },
        ]

    @property
    def mounts(self) -> list[tuple[Path, str]]:
        return [(self.units, "/etc/systemd/system"), *super().mounts]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(self.ansible / "roles"),
            "ANSIBLE_LIBRARY": str(self.ansible / "library"),
            "ANSIBLE_MODULE_UTILS": str(self.ansible / "module_utils"),
            "ANSIBLE_ACTION_PLUGINS": str(self.ansible / "action_plugins"),
            "ANSIBLE_FILTER_PLUGINS": str(self.ansible / "filter_plugins"),
            "PATH": f"{self.peer}/bin:{os.environ['PATH']}",
            # The substitute for systemd's bus.
            "PYTHONPATH": str(HERE / "stub"),
        }

    def run(self, _side: str, _first: bool = False) -> Ran:
        """Run the playbook, which is the same for all cases."""
        extra = [
            f"@{self.folder}/globals.yml",
            f"@{self.folder}/passwords.yml",
            f"CONFIG_DIR={self.folder}",
            "kolla_action=reconfigure",
        ]
        options = [text for value in extra for text in ("-e", value)]
        return self.play(
            ["ansible-playbook", "-i", str(self.folder / "inventory/hosts"), *options, str(self.folder / "site.yml")]
        )

    def set_option(self) -> None:
        self.count += 1
        place = self.config / "magnum"
        place.mkdir(exist_ok=True)
        (place / "magnum-api.conf").write_text(f"[api]\nmax_limit = {1000 + self.count}\n")

    def forget(self, name: str) -> None:
        super().forget(name)
        for unit in self.units.iterdir():
            unit.unlink()
        if self.real:
            remove_containers(*self.containers.values())
            subprocess.run(["docker", "volume", "rm", *self.volumes.values()], capture_output=True, check=False)

    def close(self) -> None:
        self.forget("kolla")
        super().close()


class Qinling(Side):
    """This collection, with its backing services on a real host, and without them on simulated hosts."""

    images = [f"kolla/qinling-{name}:{TAG}" for name in ("api", "engine", "gateway")]
    own = [f"{PREFIX}qinling_{name}" for name in ("api", "engine", "gateway")]

    def __init__(self, folder: Path, hosts: int, real: bool, forks: int, passwords: Path | None = None) -> None:
        super().__init__(folder, hosts, real, forks)
        self.alive = False
        settings: dict[str, Any] = {
            **PORTS,
            "enable_qinling": "yes",
            "enable_etcd": "yes",
            "network_interface": "lo",
            "qinling_container_prefix": PREFIX,
            "qinling_backing_services": BACKING_SERVICES if real else [],
            "kolla_copy_ca_into_containers": "yes",
            "node_config": f"{self.node}/{{{{ inventory_hostname }}}}",
            "qinling_api_port": 20070 if real else 20080,
            # No gateway on simulated hosts, so that they have two services like magnum.
            "qinling_gateway_port": 20071 if real else 0,
            # Independent of whether this deployment includes the backing services.
            "om_enable_rabbitmq_quorum_queues": "no",
            "om_enable_rabbitmq_stream_fanout": "no",
            "qinling_swarm_replicas": 1,
            "default_container_healthcheck_interval": 5,
        }
        if real:
            settings["qinling_runtimes"] = [{"name": "python3", "image": f"kolla/qinling-runtime-python3:{TAG}"}]
        else:
            # The validation runs in a container, which simulated hosts do not have.
            settings["qinling_validate_config"] = "no"
        (folder / "globals.yml").write_text(yaml.safe_dump(settings))
        every = ["baremetal", "qinling", "qinling-api", "qinling-engine"]
        (folder / "hosts").write_text(inventory(self.hosts, BACKING_SERVICES, every, sys.executable))
        self.rotate()
        if passwords:
            shutil.copy2(passwords, folder / "passwords.yml")
        else:
            self.playbook("passwords", qinling_backing_services=BACKING_SERVICES)

    @property
    def passwords(self) -> Path:
        """Return the path of passwords.yml."""
        return self.folder / "passwords.yml"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "PATH": path,
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        }

    def playbook(self, name: str, **variables: Any) -> Ran:
        """Run and measure the playbook of a command, such as deploy-containers, with variables."""
        given = json.dumps({"kolla_config_dir": str(self.folder), **variables})
        path = f"playbooks/{name.replace('-', '_')}.yml"
        return self.play(["ansible-playbook", "-i", str(self.folder / "hosts"), "-e", given, path])

    def run(self, side: str, first: bool = False) -> Ran:
        """Run and measure the playbook of a side, for a first deploy or a reconfigure."""
        if side == "containers":
            # The backing services are not part of the run, as for Kolla's role.
            return self.playbook("deploy-containers", qinling_backing_services=[])
        self.alive = self.alive or self.real
        return self.playbook("deploy" if first else "reconfigure")

    def deploy_backing(self) -> None:
        """Deploy the backing services without Qinling."""
        self.alive = True
        self.playbook("deploy", enable_qinling="no")

    def set_option(self) -> None:
        self.count += 1
        place = self.config / "qinling"
        place.mkdir(exist_ok=True)
        (place / "qinling-api.conf").write_text(f"[DEFAULT]\nexecutor_thread_pool_size = {64 + self.count}\n")

    def forget(self, name: str) -> None:
        """Remove Qinling's containers and configuration from the hosts, but not the backing services."""
        if not self.real:
            super().forget(name)
            return
        remove_containers(*self.own)
        for place in self.node.glob("*/qinling-*"):
            shutil.rmtree(place)

    def destroy(self) -> None:
        """Destroy a real deployment."""
        if self.alive:
            self.playbook("destroy", qinling_destroy_confirmed="yes")
            self.alive = False

    def close(self) -> None:
        self.destroy()
        super().close()


def peer() -> Path:
    """Return the Python environment of kolla-ansible, which is created if missing or outdated."""
    wheel = download_wheel()
    folder = PROJECT / ".cache/peer"
    done = folder / ".done"
    requirements = (HERE / "requirements-peer.txt").read_text()
    if not done.exists() or done.read_text() != requirements:
        print("Installing kolla-ansible 22.2.0 and its requirements into .cache/peer, once", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        command(*pip, str(wheel), "-r", str(HERE / "requirements-peer.txt"))
        done.write_text(requirements)
    return folder


DOCKERFILE = f"""\
FROM kolla/base:{TAG}
RUN useradd --system --home-dir /var/lib/magnum --create-home magnum && \\
    for name in uwsgi magnum-conductor; do \\
        printf '#!/bin/sh\\nexec sleep infinity\\n' > /usr/local/bin/$name && chmod 755 /usr/local/bin/$name; done && \\
    for name in healthcheck_curl healthcheck_port; do printf '#!/bin/sh\\n' > /usr/local/bin/$name; done
"""


def check_images() -> None:
    """Raise RunError if an image is missing, because a first deploy is measured with images present."""
    required = ["base", "mariadb-server", "rabbitmq", "memcached", "etcd", "keystone", "qinling-runtime-python3"]
    images = [f"kolla/{name}:{TAG}" for name in required] + Qinling.images
    found = subprocess.run(["docker", "image", "inspect", *images], capture_output=True, text=True, check=False)
    if found.returncode:
        raise RunError(f"{found.stderr.strip()}: run make build first")


def build_peer_image() -> None:
    """Build the substitute for magnum's images, which only runs Kolla's start script."""
    command("docker", "build", "--quiet", "--network", "none", "--tag", PEER_IMAGE, "-", text=DOCKERFILE)


def remove_peer_image() -> None:
    """Remove the substitute for magnum's images if it exists."""
    subprocess.run(["docker", "image", "rm", PEER_IMAGE], capture_output=True, check=False)
