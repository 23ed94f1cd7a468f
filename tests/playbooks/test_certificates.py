# SPDX-License-Identifier: Apache-2.0
"""Kubernetes certificates are copied to the selected services: a genconfig run without Docker and cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret
from operator_directory import fill, play

FILES = {"kubernetes_ca.crt": "a CA", "kubernetes.crt": "a certificate", "kubernetes.key": "CANARY of a key"}
BOTH = ["qinling-api", "qinling-engine"]
VAULT_PASSWORD = "of the operator"
DESTINATIONS = {
    "/etc/qinling/pki/kubernetes/ca.crt": "0600",
    "/etc/qinling/pki/kubernetes/qinling.crt": "0600",
    "/etc/qinling/pki/kubernetes/qinling.key": "0600",
}


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an operator's directory with certificates; the key is encrypted with ansible-vault."""
    directory = tmp_path_factory.mktemp("operator")
    fill(directory, {"qinling_container_prefix": "certificates_", "node_config": str(directory / "node")})
    folder = directory / "config/qinling/qinling-engine"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_text(content)
    vault = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(VAULT_PASSWORD.encode()))])
    (folder / "kubernetes.key").write_bytes(vault.encrypt(FILES["kubernetes.key"]))
    (directory / "vault-password").write_text(VAULT_PASSWORD)
    return directory


def genconfig(operator: Path, **variables: Any) -> str:
    """Generate the configuration, by default with certificates, and return the output."""
    vault = ["--vault-password-file", str(operator / "vault-password")]
    extra_vars = {"qinling_kubernetes_certificates": True, "qinling_kube_host": "https://127.0.0.1:1", **variables}
    code, shown = play(operator, "genconfig", "--diff", *vault, **extra_vars)
    assert code == 0, shown[-6000:]
    return shown


def certificates(operator: Path, service: str) -> dict[str, str]:
    """Return the certificates in a service's directory on the host, by name."""
    return {path.name: path.read_text() for path in (operator / "node" / service).glob("kubernetes*")}


def copied(operator: Path, service: str) -> dict[str, str]:
    """Return the modes of the files that a service's container copies to /etc/qinling/pki, by path."""
    config = json.loads((operator / "node" / service / "config.json").read_text())
    return {item["dest"]: item["perm"] for item in config["config_files"] if "/pki/" in item["dest"]}


# The order matters: each case starts from the files of the previous one.
@pytest.mark.parametrize(
    ("variables", "services"),
    [
        ({}, BOTH),
        ({"qinling_kubernetes_certificates_services": ["qinling-engine"]}, ["qinling-engine"]),
        ({"qinling_kubernetes_certificates_services": ["qinling-engine", "qinling-api"]}, BOTH),
        ({"qinling_kubernetes_certificates": False, "qinling_orchestrator": "kubernetes"}, []),
    ],
    ids=["both by default", "only the engine", "both again", "disabled"],
)
def test_certificates_are_copied_to_selected_services(
    operator: Path, variables: dict[str, Any], services: list[str]
) -> None:
    shown = genconfig(operator, **variables)
    for service in BOTH:
        assert certificates(operator, service) == (FILES if service in services else {})
        assert copied(operator, service) == (DESTINATIONS if service in services else {})
        for name in certificates(operator, service):
            assert (operator / "node" / service / name).stat().st_mode & 0o007 == 0
    assert "CANARY" not in shown


def test_ca_certificates_of_the_cloud_are_world_readable(operator: Path) -> None:
    folder = operator / "certificates/ca"
    folder.mkdir(parents=True)
    (folder / "cloud.crt").write_text("the cloud's CA")
    genconfig(operator, kolla_copy_ca_into_containers=True)
    for service in BOTH:
        copy = operator / "node" / service / "ca-certificates/cloud.crt"
        assert copy.read_text() == "the cloud's CA"
        assert copy.stat().st_mode & 0o777 == 0o644
