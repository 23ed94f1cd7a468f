# SPDX-License-Identifier: Apache-2.0
"""The engine's way to Kubernetes: what a new certificate touches, what prechecks say of a bad one, and the gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deployment import Deployment, run

PKI = "/etc/qinling/pki/kubernetes"


@pytest.fixture(autouse=True)
def only_kubernetes(deployment: Deployment) -> None:
    """Skip where the deployment under test works on Docker Swarm."""
    if not deployment.kubernetes:
        pytest.skip("this deployment has no Kubernetes")


@pytest.fixture()
def certificates(deployment: Deployment) -> Path:
    """The folder of the operator's certificates."""
    return deployment.directory / "config" / "qinling" / "qinling-engine"


def test_certificates_are_in_the_engine_alone(deployment: Deployment) -> None:
    modes = deployment.inside(
        "qinling_engine", "stat", "-c", "%n %a %U", f"{PKI}/ca.crt", f"{PKI}/qinling.crt", f"{PKI}/qinling.key"
    )
    assert modes.splitlines() == [f"{PKI}/{name} 600 qinling" for name in ("ca.crt", "qinling.crt", "qinling.key")]
    assert "pki" not in deployment.inside("qinling_api", "ls", "/etc/qinling")
    conf = deployment.inside("qinling_engine", "cat", "/etc/qinling/qinling.conf")
    assert f"kube_host = {deployment.settings['qinling_kube_host']}" in conf


def test_pods_are_confined(deployment: Deployment) -> None:
    pods = json.loads(run("kubectl", "-n", "qinling", "get", "pods", "-o", "json"))["items"]
    assert pods
    for pod in pods:
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not [volume for volume in pod["spec"].get("volumes", []) if "hostPath" in volume]
        for container in pod["spec"]["containers"]:
            confinement = {**pod["spec"]["securityContext"], **container["securityContext"]}
            assert confinement["runAsNonRoot"]
            assert not confinement["allowPrivilegeEscalation"]
            assert confinement["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}


def test_rotation_restarts_the_engine_alone(deployment: Deployment, certificates: Path) -> None:
    old = (certificates / "kubernetes.crt").read_text()
    deployment.play("kubernetes-credentials", "-e", "qinling_kubernetes_credentials_renew=true")
    assert (certificates / "kubernetes.crt").read_text() != old
    assert (certificates / "kubernetes.key").stat().st_mode & 0o077 == 0
    assert deployment.reconfigure().made_anew == ["qinling_engine"]
    assert (
        deployment.inside("qinling_engine", "cat", f"{PKI}/qinling.crt")
        == (certificates / "kubernetes.crt").read_text()
    )


def test_bad_certificates_are_named_before_anything_changes(deployment: Deployment, certificates: Path) -> None:
    before = deployment.ids()
    good = (certificates / "kubernetes.key").read_bytes()
    try:
        (certificates / "kubernetes.key").write_text(
            run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout")
        )
        with pytest.raises(AssertionError, match="does not belong to"):
            deployment.play("reconfigure")
    finally:
        (certificates / "kubernetes.key").write_bytes(good)
    assert deployment.ids() == before


def test_gate_off_removes_the_certificates(deployment: Deployment) -> None:
    host = deployment.node_config / "qinling-engine"
    assert (host / "kubernetes.key").exists()
    off = {
        "qinling_kubernetes_certificates": False,
        "qinling_kube_host": "",
        "qinling_runtimes": [],
        "qinling_relay_port": deployment.settings["qinling_api_port"] + 1,
    }
    try:
        deployment.play("reconfigure", "-e", json.dumps(off))
        assert not list(host.glob("kubernetes*"))
        assert "pki" not in deployment.inside("qinling_engine", "ls", "/etc/qinling")
    finally:
        deployment.play("reconfigure")
    assert (host / "kubernetes.key").exists()
