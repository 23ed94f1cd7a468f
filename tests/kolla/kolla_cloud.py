# SPDX-License-Identifier: Apache-2.0
"""A simulated Kolla cloud with the files of kolla-ansible's wheel; see README.md."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROJECT = Path(__file__).resolve().parents[2]
WHEEL = "kolla_ansible-22.2.0-py3-none-any.whl"
SHA256 = "010e077c95d172e152f253bba4c0af43b537c987439d1c4601e9edc6adaeac34"
PREFIX = "cloud_"
VIP = "127.0.0.2"

# Settings of the cloud's operator, with ports that do not conflict with other deployments.
SETTINGS: dict[str, Any] = {
    "network_interface": "lo",
    "kolla_internal_vip_address": VIP,
    "enable_proxysql": "no",
    "kolla_copy_ca_into_containers": "yes",
    "database_port": 30306,
    "rabbitmq_port": 30672,
    "rabbitmq_cluster_port": 30673,
    "rabbitmq_epmd_port": 30369,
    "memcached_port": 30211,
    "etcd_client_port": 30379,
    "etcd_peer_port": 30380,
    "keystone_public_port": 30500,
    "keystone_internal_port": 30500,
    "haproxy_max_connections": 2000,
    "haproxy_stats_port": 30984,
    "haproxy_monitor_port": 30313,
    "openstack_service_workers": 1,
    "default_container_healthcheck_interval": 2,
}
# The settings that Qinling requires.
QINLING: dict[str, Any] = {"enable_qinling": "yes", "enable_etcd": "yes"}
# Names and ports that do not conflict with other tests.
ISOLATION: dict[str, Any] = {
    "qinling_container_prefix": "cloudq_",
    "qinling_haproxy_container": f"{PREFIX}haproxy",
    "qinling_api_port": 30070,
    "qinling_gateway_port": 30071,
}


def run(*command: str, **environment: str) -> str:
    """Run a command in the project's directory and return its output; raise AssertionError if it fails."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command[:12])}: {done.returncode}\n{(done.stdout + done.stderr)[-6000:]}")
    return done.stdout


def download_wheel(cache: Path = PROJECT / ".cache") -> Path:
    """Return kolla-ansible's wheel in the directory `cache`, downloaded from PyPI if missing."""
    wheel = cache / WHEEL
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache)]
        run(*pip, "kolla-ansible==22.2.0")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == SHA256
    return wheel


def containers(prefix: str = PREFIX) -> dict[str, tuple[str, str]]:
    """Return ID and start time of the containers with a prefix, by name."""
    listed = run("docker", "ps", "--all", "--filter", f"name=^{prefix}", "--format", "{{.Names}}").split()
    shown = json.loads(run("docker", "inspect", *listed)) if listed else []
    return {item["Name"].lstrip("/"): (item["Id"], item["State"]["StartedAt"]) for item in shown}


def authority() -> str:
    """Return the certificate of a private CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A cloud's CA")])
    start = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), start, start + timedelta(1)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


class Cloud:
    """The cloud's configuration directory, and its playbooks."""

    def __init__(self, folder: Path, kolla: Path) -> None:
        self.folder, self.kolla = folder, kolla
        self.inventory = kolla / "ansible/inventory/all-in-one"
        self.passwords = folder / "passwords.yml"
        self.settings = {**SETTINGS, **QINLING, **ISOLATION, "node_config": str(folder / "node")}

    def write(self) -> None:
        """Write the configuration directory: kolla-ansible's files with the operator's settings."""
        examples = self.kolla / "etc_examples/kolla"
        text = (examples / "globals.yml").read_text()
        (self.folder / "globals.yml").write_text(text + yaml.safe_dump(self.settings))
        # Like kolla-genpwd, except for keys.
        text = (examples / "passwords.yml").read_text()
        text = re.sub(
            r"^(\w+):$(?!\n )", lambda found: f"{found[1]}: {secrets.token_hex(20)}", text, flags=re.MULTILINE
        )
        self.passwords.write_text(text)
        self.passwords.chmod(0o640)
        authorities = self.folder / "certificates/ca"
        authorities.mkdir(parents=True)
        (authorities / "root.crt").write_text(authority())

    def play(self, playbook: str, *arguments: str, inventory: Path | None = None) -> str:
        """Run a playbook of the collection with the cloud's inventory and return its output."""
        return run(
            "ansible-playbook",
            "-i",
            str(inventory or self.inventory),
            "-i",
            "inventory/kolla/groups",
            "-e",
            f"kolla_config_dir={self.folder}",
            *arguments,
            f"playbooks/{playbook}.yml",
        )

    def play_backing_services(self, playbook: str) -> None:
        """Run a playbook on the cloud's services, which the collection's roles deploy instead of Kolla's."""
        variables = {
            "qinling_container_prefix": PREFIX,
            "qinling_backing_services": ["etcd", "mariadb", "rabbitmq", "memcached", "keystone"],
            "enable_qinling": False,
            "database_address": "127.0.0.1",
            "qinling_destroy_confirmed": "yes",
        }
        self.play(playbook, "-e", json.dumps(variables), inventory=PROJECT / "inventory/all-in-one")

    def start_haproxy(self) -> None:
        """Start HAProxy with kolla-ansible's configuration."""
        variables = {
            **self.settings,
            # Kolla's filters expect these as variables of the host.
            "api_interface": SETTINGS["network_interface"],
            "api_address_family": "ipv4",
            "kolla": str(self.kolla),
            "kolla_config_dir": str(self.folder),
            "node_config_directory": str(self.folder / "node"),
            "mariadb_port": SETTINGS["database_port"],
            "haproxy_image": "kolla/qinling-gateway:2026.1-debian-trixie",
        }
        run(
            "ansible-playbook",
            "-i",
            str(self.inventory),
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            "-e",
            json.dumps(variables),
            "tests/kolla/cloud.yml",
            ANSIBLE_FILTER_PLUGINS=str(self.kolla / "ansible/filter_plugins"),
            PYTHONPATH=str(self.kolla.parents[3]),
        )
