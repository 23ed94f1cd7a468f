# SPDX-License-Identifier: Apache-2.0
"""Tests of certificates for Kubernetes: access, rotation, validation, and removal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deployment import Deployment, run

PKI = "/etc/qinling/pki/kubernetes"
NAMES = ("ca.crt", "qinling.crt", "qinling.key")
HOLDERS = ("qinling_api", "qinling_engine")


@pytest.fixture(autouse=True)
def only_kubernetes(deployment: Deployment) -> None:
    """Skip the tests for deployments on Docker Swarm."""
    if not deployment.kubernetes:
        pytest.skip("this deployment has no Kubernetes")


@pytest.fixture
def certificates(deployment: Deployment) -> Path:
    """Return the directory of the operator's certificates."""
    return deployment.directory / "config" / "qinling" / "qinling-engine"


def on_host(deployment: Deployment, name: str) -> list[str]:
    """Return the certificates in a container's directory on the host."""
    return sorted(path.name for path in (deployment.node_config / name.replace("_", "-")).glob("kubernetes*"))


@pytest.mark.parametrize("name", HOLDERS)
def test_certificates_are_readable_only_by_service(deployment: Deployment, certificates: Path, name: str) -> None:
    paths = [f"{PKI}/{file}" for file in NAMES]
    modes = deployment.inside(name, "stat", "-c", "%n %a %U:%G", "/etc/qinling/pki", PKI, *paths)
    assert modes.splitlines() == [
        "/etc/qinling/pki 700 qinling:qinling",
        f"{PKI} 700 qinling:qinling",
        *(f"{path} 600 qinling:qinling" for path in paths),
    ]
    assert deployment.inside(name, "id", "-un") == "qinling\n"
    assert deployment.inside(name, "cat", f"{PKI}/qinling.key") == (certificates / "kubernetes.key").read_text()
    for other in ("nobody", "nobody:kolla"):
        for path in (PKI, *paths):
            readable = ["sh", "-c", f"test -r {path} && echo readable || echo closed"]
            assert run("docker", "exec", "--user", other, deployment.prefix + name, *readable) == "closed\n"


def test_only_engine_connects_to_cluster(deployment: Deployment) -> None:
    kube_host = f"kube_host = {deployment.settings['qinling_kube_host']}"
    assert kube_host in deployment.inside("qinling_engine", "cat", "/etc/qinling/qinling.conf")
    assert "[kubernetes]" not in deployment.inside("qinling_api", "cat", "/etc/qinling/qinling.conf")


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


def test_rotation_recreates_only_containers_with_certificates(deployment: Deployment, certificates: Path) -> None:
    old = (certificates / "kubernetes.crt").read_text()
    deployment.play("kubernetes_credentials", "-e", "qinling_kubernetes_credentials_renew=true")
    assert (certificates / "kubernetes.crt").read_text() != old
    assert (certificates / "kubernetes.key").stat().st_mode & 0o077 == 0
    done = deployment.reconfigure()
    assert done.recreated == list(HOLDERS)
    assert "PRIVATE KEY" not in done.shown
    for name in HOLDERS:
        assert deployment.inside(name, "cat", f"{PKI}/qinling.crt") == (certificates / "kubernetes.crt").read_text()


def test_invalid_certificates_are_reported_before_changes(deployment: Deployment, certificates: Path) -> None:
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


def test_unneeded_certificates_are_removed(deployment: Deployment) -> None:
    files = on_host(deployment, "qinling_engine")
    assert on_host(deployment, "qinling_api") == files == ["kubernetes.crt", "kubernetes.key", "kubernetes_ca.crt"]
    off = {
        "qinling_kubernetes_certificates": False,
        "qinling_kube_host": "",
        "qinling_runtimes": [],
        "qinling_gateway_port": deployment.settings["qinling_api_port"] + 1,
    }
    try:
        engine_only = {"qinling_kubernetes_certificates_services": ["qinling-engine"]}
        assert deployment.reconfigure("-e", json.dumps(engine_only)).recreated == ["qinling_api"]
        assert on_host(deployment, "qinling_api") == []
        assert "pki" not in deployment.inside("qinling_api", "ls", "/etc/qinling")
        assert on_host(deployment, "qinling_engine") == files

        deployment.play("reconfigure", "-e", json.dumps(off))
        for name in HOLDERS:
            assert on_host(deployment, name) == []
            assert "pki" not in deployment.inside(name, "ls", "/etc/qinling")
    finally:
        deployment.play("reconfigure")
    for name in HOLDERS:
        assert on_host(deployment, name) == files
