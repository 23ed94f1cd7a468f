# SPDX-License-Identifier: Apache-2.0
"""What is told about a host."""

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
    ("listening", "wanted", "expected"),
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
def test_overlaps(listening: str, wanted: str, expected: bool) -> None:
    assert preflight_checks.overlaps(listening, wanted) is expected


@pytest.fixture
def held() -> Iterator[int]:
    """A port that this very process holds."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        yield holder.getsockname()[1]


def container(name: str, pid: int = 0, managed: bool = True, ports: tuple = ()) -> dict[str, Any]:
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
    wanted = [{"port": port, "address": address, "service": "api", "containers": ["api"]}]
    return preflight_checks.port_findings(wanted, containers, preflight.listeners())


def test_a_held_port_names_its_process(held: int) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    (finding,) = findings(held, [])
    assert finding.startswith(f"port {held} on 127.0.0.1 for api is held by process {name} (pid {os.getpid()})")


def test_a_held_port_names_its_container(held: int) -> None:
    # The port's process is a descendant of the container's first one.
    (finding,) = findings(held, [container("other", os.getppid())])
    assert "held by container other, process" in finding
    (finding,) = findings(held, [container("api", os.getppid(), managed=False)])
    assert "held by container api, process" in finding


def test_a_port_held_by_ones_own_container_is_fine(held: int) -> None:
    assert findings(held, [container("api", os.getppid())]) == []


def test_a_published_port_is_its_containers(held: int) -> None:
    published = (("127.0.0.1", held, "tcp"),)
    assert findings(held, [container("api", ports=published)]) == []
    (finding,) = findings(held, [container("relay", ports=published)])
    assert "held by container relay;" in finding


def test_a_free_port_is_fine(held: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert findings(free, []) == []


def test_an_address_that_the_host_has_not() -> None:
    (finding,) = findings(17070, [], "192.0.2.1")
    assert "the host has no such address" in finding


def test_names_that_others_have_taken() -> None:
    present = [container("mine"), container("theirs", managed=False)]
    (finding,) = preflight_checks.container_findings(["mine", "theirs", "free"], present)
    assert finding.startswith("container theirs: ")


@pytest.mark.parametrize(
    ("version", "minimum", "fine"),
    [
        ("20.10.24+dfsg1", "20.10", True),
        ("20.10.24", "20.10.25", False),
        ("19.03.15", "20.10", False),
        ("28.0.0-rc.1", "20.10", True),
    ],
)
def test_versions(version: str, minimum: str, fine: bool) -> None:
    assert (preflight_checks.version_finding(version, minimum) == "") is fine


def test_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir()
    real = os.access
    # Root may write anywhere, so permissions are played.
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
    """An engine that gives fixed answers, and what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, data = ANSWERS.get(self.path, (404, {"message": "not found"}))
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    with socketserver.UnixStreamServer(str(tmp_path / "d.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield DockerApi(str(tmp_path / "d.sock")), asked
        server.shutdown()
        thread.join()


def test_containers_are_read(docker: tuple[DockerApi, list[str]]) -> None:
    first, second = docker[0].containers()
    assert (first["name"], first["pid"], first["ports"]) == ("api", 77, [("127.0.0.1", 7071, "tcp")])
    assert (second["name"], second["pid"], second["labels"], second["ports"]) == ("b2", 0, {}, [])


def test_images_are_looked_for_here_then_in_their_registry_and_a_dead_one_is_asked_once(
    docker: tuple[DockerApi, list[str]],
) -> None:
    api, asked = docker
    images = [
        "here:1",
        "dead.example/one:1",
        "dead.example/two:1",
        "denied.example/x:1",
        "live.example/there:1",
        "gone:1",
    ]
    found = preflight.image_findings(api, images)
    assert [finding.split(" is ")[0].split(" can ")[0] for finding in found] == [
        "registry dead.example",
        "image denied.example/x:1",
        "image gone:1",
    ]
    assert "no such host" in found[0]
    assert not any("two" in path and "distribution" in path for path in asked)
    assert not any("here" in path and "distribution" in path and "there" not in path for path in asked)


def test_no_engine_is_one_finding_and_ports_are_looked_at_all_the_same(
    tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DockerUnreachableError, match="no such socket"):
        DockerApi(str(tmp_path / "none")).version()
    monkeypatch.setattr(preflight, "SOCKET", str(tmp_path / "none"))
    host: dict[str, Any] = {
        "docker": True,
        "images": ["x:1"],
        "containers": ["api"],
        "ports": [{"port": held, "address": "127.0.0.1", "service": "api", "containers": []}],
        **{name: [] for name in ("writable", "files", "subnets")},
    }
    found = preflight.host_findings(host)
    assert len(found) == 2
    assert "does not answer" in found[0]
    assert "qinling.kolla.bootstrap_servers" in found[0]
    assert f"port {held}" in found[1]
    assert len(preflight.host_findings({**host, "docker": False, "images": [], "containers": []})) == 1


def test_ports_that_two_services_want() -> None:
    def want(port: int, address: str, service: str) -> dict[str, Any]:
        return {"port": port, "address": address, "service": service}

    any_address = "0.0.0.0"
    wanted = [
        want(1, "127.0.0.1", "a"),
        want(1, "127.0.0.2", "b"),
        want(2, "127.0.0.1", "c"),
        want(1, any_address, "d"),
    ]
    found = preflight_checks.shared_port_findings(wanted)
    assert [text.split("; ")[0] for text in found] == [
        "port 1 on 127.0.0.1 is wanted by a and by d",
        "port 1 on 127.0.0.2 is wanted by b and by d",
    ]


def test_files_that_the_host_reads(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    good, gone, folder = tmp_path / "ca.pem", tmp_path / "gone.pem", tmp_path
    wanted = [{"name": "cacert", "path": str(path)} for path in (good, gone, folder)]
    found = preflight_checks.file_findings(wanted)
    assert [text.split(" is not a file on the host")[0] for text in found] == [f"cacert: {gone}", f"cacert: {folder}"]


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-relay\t000013AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
vpn\t0000000A\t010200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""
NETWORKS = [
    {"Name": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}, {"Subnet": "fd00::/80"}]}},
    {"Name": "relay", "IPAM": {"Config": [{"Subnet": "172.19.0.0/16"}]}},
    {"Name": "host", "IPAM": {"Config": None}},
]


@pytest.mark.parametrize(
    ("subnet", "owner"),
    [
        ("172.17.0.0/16", "172.17.0.0/16 of Docker's network bridge"),
        ("172.17.9.0/24", "172.17.0.0/16 of Docker's network bridge"),
        ("172.16.0.0/12", "172.17.0.0/16 of Docker's network bridge"),
        ("192.0.2.128/25", "192.0.2.0/24 of the interface eth0"),
        # Its own, as it is or as it will be; behind a gateway, where a closer network comes first; nobody's.
        ("172.19.0.0/16", ""),
        ("172.19.7.0/24", ""),
        ("10.99.0.0/24", ""),
        ("192.168.77.0/24", ""),
        # Reported by the rules of input.
        ("all of them", ""),
    ],
)
def test_subnets_that_something_else_has(subnet: str, owner: str) -> None:
    wanted = [{"name": "variable", "network": "relay", "subnet": subnet}]
    found = preflight_checks.subnet_findings(wanted, NETWORKS, preflight_checks.parse_connected(ROUTES))
    assert found == ([f"variable: {subnet} overlaps {owner}; take one that nothing else uses"] if owner else [])
