# SPDX-License-Identifier: Apache-2.0
"""Preflight checks of a host."""

import http.server
import json
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._plan import preflight, preflight_checks
from ansible_collections.qinling.kolla.plugins.module_utils._plan.preflight_checks import Listener

LABEL = "qinling.kolla/managed"

PROC_NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1B9E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:1B9E 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
"""
PROC_NET_TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 00000000000000000000000001000000:1B9E 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4714 1
   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4715 1
"""


def test_listeners_are_read_from_proc() -> None:
    assert preflight_checks.parse_listeners(PROC_NET_TCP) == [
        Listener("127.0.0.1", 7070, 4711),
        Listener("0.0.0.0", 22, 4712),
    ]
    assert preflight_checks.parse_listeners(PROC_NET_TCP6) == [
        Listener("::1", 7070, 4714),
        Listener("127.0.0.1", 80, 4715),
    ]
    assert preflight_checks.parse_listeners("") == []


@pytest.mark.parametrize(
    ("listening", "requested", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
        ("::1", "0.0.0.0", False),
        ("::1", "::", True),
    ],
)
def test_overlaps(listening: str, requested: str, expected: bool) -> None:
    assert preflight_checks.overlaps(listening, requested) is expected


@pytest.fixture
def used_port() -> Iterator[int]:
    """Yield a port on which this process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def container(name: str, pid: int = 0, managed: bool = True, ports: tuple[Any, ...] = ()) -> dict[str, Any]:
    labels = {LABEL: "1"} if managed else {}
    return {
        "id": "f" * 64,
        "name": name,
        "labels": labels,
        "image": "i:1",
        "state": "running",
        "pid": pid,
        "ports": list(ports),
    }


def findings(port: int, containers: list[dict[str, Any]], address: str = "127.0.0.1") -> list[str]:
    requested = [{"port": port, "address": address, "service": "api", "containers": ["api"]}]
    return preflight_checks.port_findings(requested, containers, preflight.listeners())


def test_used_port_is_reported_with_its_process(used_port: int) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    (finding,) = findings(used_port, [])
    assert finding.startswith(f"port {used_port} on 127.0.0.1 for api is in use by process {name} (pid {os.getpid()})")


def test_used_port_is_reported_with_its_container(used_port: int) -> None:
    # The port's process is a descendant of the container's main process.
    (finding,) = findings(used_port, [container("other", os.getppid())])
    assert "in use by container other, process" in finding
    (finding,) = findings(used_port, [container("api", os.getppid(), managed=False)])
    assert "in use by container api, process" in finding


def test_port_of_an_expected_container_is_valid(used_port: int) -> None:
    assert findings(used_port, [container("api", os.getppid())]) == []


def test_published_port_belongs_to_its_container(used_port: int) -> None:
    published = (("127.0.0.1", used_port, "tcp"),)
    assert findings(used_port, [container("api", ports=published)]) == []
    (finding,) = findings(used_port, [container("gateway", ports=published)])
    assert "in use by container gateway;" in finding


def test_free_port_is_valid(used_port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert findings(free, []) == []


def test_foreign_address_is_reported() -> None:
    (finding,) = findings(17070, [], "192.0.2.1")
    assert "the host does not have this address" in finding


def test_name_of_a_foreign_container_is_reported() -> None:
    present = [container("mine"), container("theirs", managed=False)]
    (finding,) = preflight_checks.container_findings(["mine", "theirs", "free"], present)
    assert finding.startswith("container theirs: ")


@pytest.mark.parametrize(
    ("version", "minimum", "valid"),
    [
        ("20.10.24+dfsg1", "20.10", True),
        ("20.10.24", "20.10.25", False),
        ("19.03.15", "20.10", False),
        ("28.0.0-rc.1", "20.10", True),
    ],
)
def test_versions(version: str, minimum: str, valid: bool) -> None:
    assert (preflight_checks.version_finding(version, minimum) == "") is valid


def test_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir()
    real = os.access
    # Simulate permissions, because root can write anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed" and real(path, mode))
    paths = [str(tmp_path / name) for name in ("new/er", "file/x", "closed/x")]
    found = preflight_checks.writable_findings(paths)
    assert [finding.split(":")[0] for finding in found] == paths[1:]


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("qinling-api:1", "docker.io"),
        ("kolla/qinling-api:1", "docker.io"),
        ("quay.io/kolla/qinling-api:1", "quay.io"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000"),
        ("localhost/x", "localhost"),
    ],
)
def test_registries(image: str, registry: str) -> None:
    assert preflight_checks.registry_of(image) == registry


@pytest.mark.parametrize(
    ("status", "message", "problem"),
    [
        (200, "", ""),
        (404, "manifest unknown", "absent"),
        (500, "manifest unknown: x", "absent"),
        (401, "", "denied"),
        (403, "requested access to the resource is denied", "denied"),
        (500, "dial tcp: connect: connection refused", "unreachable"),
    ],
)
def test_registry_problems(status: int, message: str, problem: str) -> None:
    assert preflight_checks.registry_problem(status, message) == problem


ANSWERS: dict[str, tuple[int, Any]] = {
    "/version": (200, {"Version": "20.10.24"}),
    "/containers/json?all=1": (
        200,
        [
            {
                "Id": "a1",
                "Names": ["/api"],
                "Labels": {LABEL: "1"},
                "Image": "i",
                "State": "running",
                "Ports": [{"IP": "127.0.0.1", "PrivatePort": 1, "PublicPort": 7071, "Type": "tcp"}, {"PrivatePort": 2}],
            },
            {"Id": "b2", "Names": None, "Labels": None, "Image": "j", "State": "exited", "Ports": None},
        ],
    ),
    "/containers/a1/json": (200, {"State": {"Pid": 77}}),
    "/images/here%3A1/json": (200, {"Id": "sha256:1"}),
    "/distribution/dead.example/one%3A1/json": (500, {"message": "no such host"}),
    "/distribution/denied.example/x%3A1/json": (403, {"message": "denied"}),
    "/distribution/live.example/there%3A1/json": (200, {}),
}


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[tuple[DockerApi, list[str]]]:
    """Yield an engine with fixed responses, and the list of its requests."""
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            status, data = ANSWERS.get(self.path, (404, {"message": "not found"}))
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *arguments: object) -> None:
            """Suppress the log."""

    with socketserver.UnixStreamServer(str(tmp_path / "d.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield DockerApi(str(tmp_path / "d.sock")), requests
        server.shutdown()
        thread.join()


def test_containers_are_read(docker: tuple[DockerApi, list[str]]) -> None:
    first, second = docker[0].containers()
    assert (first["name"], first["pid"], first["ports"]) == ("api", 77, [("127.0.0.1", 7071, "tcp")])
    assert (second["name"], second["pid"], second["labels"], second["ports"]) == ("b2", 0, {}, [])


def test_images_are_searched_on_the_host_and_once_per_unreachable_registry(
    docker: tuple[DockerApi, list[str]],
) -> None:
    api, requests = docker
    images = [
        "here:1",
        "dead.example/one:1",
        "dead.example/two:1",
        "denied.example/x:1",
        "live.example/there:1",
        "missing:1",
    ]
    found = preflight.image_findings(api, images)
    assert [finding.split(" is ")[0].split(" cannot ")[0] for finding in found] == [
        "registry dead.example",
        "image denied.example/x:1",
        "image missing:1",
    ]
    assert "no such host" in found[0]
    assert not any("two" in path and "distribution" in path for path in requests)
    assert not any("here" in path and "distribution" in path and "there" not in path for path in requests)


def test_ports_are_checked_without_an_engine(tmp_path: Path, used_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DockerUnreachableError, match="the socket does not exist"):
        DockerApi(str(tmp_path / "none")).version()
    monkeypatch.setattr(preflight, "SOCKET", str(tmp_path / "none"))
    host: dict[str, Any] = {
        "docker": True,
        "images": ["x:1"],
        "containers": ["api"],
        "ports": [{"port": used_port, "address": "127.0.0.1", "service": "api", "containers": []}],
        **{name: [] for name in ("writable", "files", "subnets")},
    }
    found = preflight.host_findings(host)
    assert len(found) == 2
    assert "does not answer" in found[0]
    assert "qinling.kolla.bootstrap_servers" in found[0]
    assert f"port {used_port}" in found[1]
    assert len(preflight.host_findings({**host, "docker": False, "images": [], "containers": []})) == 1


def test_shared_ports_are_reported() -> None:
    def request(port: int, address: str, service: str) -> dict[str, Any]:
        return {"port": port, "address": address, "service": service}

    any_address = "0.0.0.0"
    requested = [
        request(1, "127.0.0.1", "a"),
        request(1, "127.0.0.2", "b"),
        request(2, "127.0.0.1", "c"),
        request(1, any_address, "d"),
    ]
    found = preflight_checks.shared_port_findings(requested)
    assert [text.split("; ")[0] for text in found] == [
        "port 1 on 127.0.0.1 is used by a and by d",
        "port 1 on 127.0.0.2 is used by b and by d",
    ]


def test_missing_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    good, missing, folder = tmp_path / "ca.pem", tmp_path / "missing.pem", tmp_path
    requested = [{"name": "cacert", "path": str(path)} for path in (good, missing, folder)]
    found = preflight_checks.file_findings(requested)
    assert [text.split(" is not a file on the host")[0] for text in found] == [
        f"cacert: {missing}",
        f"cacert: {folder}",
    ]


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-gateway\t000013AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
vpn\t0000000A\t010200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""
NETWORKS = [
    {"Name": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}, {"Subnet": "fd00::/80"}]}},
    {"Name": "gateway", "IPAM": {"Config": [{"Subnet": "172.19.0.0/16"}]}},
    {"Name": "host", "IPAM": {"Config": None}},
]


@pytest.mark.parametrize(
    ("subnet", "owner"),
    [
        ("172.17.0.0/16", "172.17.0.0/16 of Docker's network bridge"),
        ("172.17.9.0/24", "172.17.0.0/16 of Docker's network bridge"),
        ("172.16.0.0/12", "172.17.0.0/16 of Docker's network bridge"),
        ("192.0.2.128/25", "192.0.2.0/24 of the interface eth0"),
        # The network's own subnet, unchanged or changed; a subnet behind a gateway; an unused subnet.
        ("172.19.0.0/16", ""),
        ("172.19.7.0/24", ""),
        ("10.99.0.0/24", ""),
        ("192.168.77.0/24", ""),
        # The validation of input reports invalid subnets.
        ("all of them", ""),
    ],
)
def test_used_subnets_are_reported(subnet: str, owner: str) -> None:
    requested = [{"name": "variable", "network": "gateway", "subnet": subnet}]
    found = preflight_checks.subnet_findings(requested, NETWORKS, preflight_checks.parse_connected(ROUTES))
    assert found == ([f"variable: {subnet} overlaps {owner}; set an unused subnet"] if owner else [])
