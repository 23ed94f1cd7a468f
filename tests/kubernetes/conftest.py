# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests on the cluster of KUBECONFIG, with a user whose permissions are those of the shipped manifest."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import RBAC, eventually, request


@pytest.fixture(scope="session")
def admin() -> Any:
    """Return a client with the credentials of KUBECONFIG."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("needs a cluster: tests/kubernetes/cluster up, then tests/kubernetes/cluster test")
    from kubernetes import client, config

    config.load_kube_config(os.environ["KUBECONFIG"])
    return client.ApiClient()


@pytest.fixture(scope="session")
def images() -> list[str]:
    """Return two revisions of the image of workers, which `cluster test` loads."""
    return [f"qinling.test/worker:{revision}" for revision in (1, 2)]


@pytest.fixture(scope="session")
def credentials(admin: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Create namespace, role and client certificate of the user qinling from the shipped manifest."""
    documents = list(yaml.safe_load_all(RBAC.read_text()))
    paths = {"Namespace": "/api/v1/namespaces"}
    for kind in ("Role", "RoleBinding"):
        paths[kind] = f"/apis/rbac.authorization.k8s.io/v1/namespaces/qinling/{kind.lower()}s"
    request(admin, "DELETE", "/api/v1/namespaces/qinling")
    eventually(lambda: request(admin, "GET", "/api/v1/namespaces/qinling") is None, 60)
    for document in documents:
        request(admin, "POST", paths[document["kind"]], document)
    folder = tmp_path_factory.mktemp("credentials")
    signing = subprocess.run(
        [
            "openssl",
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=qinling",
            "-keyout",
            str(folder / "qinling.key"),
        ],
        capture_output=True,
        check=True,
    ).stdout
    certificates = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    name = "qinling-driver-test"
    request(admin, "DELETE", f"{certificates}/{name}")
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(signing).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }
    signing_request = request(admin, "POST", certificates, body)
    signing_request["status"] = {
        "conditions": [{"type": "Approved", "status": "True", "reason": "test", "message": "test"}]
    }
    request(admin, "PUT", f"{certificates}/{name}/approval", signing_request)
    issued = eventually(lambda: request(admin, "GET", f"{certificates}/{name}")["status"].get("certificate"), 20)
    (folder / "qinling.crt").write_bytes(base64.b64decode(issued))
    authority = admin.configuration.ssl_ca_cert
    (folder / "ca.crt").write_bytes(Path(authority).read_bytes())
    yield {
        "kube_host": admin.configuration.host,
        "ssl_ca_cert": str(folder / "ca.crt"),
        "cert_file": str(folder / "qinling.crt"),
        "key_file": str(folder / "qinling.key"),
    }
    request(admin, "DELETE", f"{certificates}/{name}")
    request(admin, "DELETE", "/api/v1/namespaces/qinling")
