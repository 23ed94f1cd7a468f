# SPDX-License-Identifier: Apache-2.0
"""Simulated Docker engine behind a Unix socket, with the API calls that compare, create and start containers.

Each simulated host has separate containers, volumes and networks. The environment variable BENCH_HOST of the calling
process, which the connection plugin sets, selects the host. Arguments: the path of the socket, and the existing images.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}
NEVER = "0001-01-01T00:00:00Z"
# Docker's defaults for containers.
HOST_CONFIG: dict[str, Any] = {
    "Binds": None,
    "NetworkMode": "default",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumesFrom": None,
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "private",
    "GroupAdd": None,
    "IpcMode": "private",
    "PidMode": "",
    "Privileged": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "Memory": 0,
    "Ulimits": None,
    "Devices": [],
    "LogConfig": {"Type": "json-file", "Config": {}},
}
CONFIG: dict[str, Any] = {
    "Hostname": "bench",
    "User": "",
    "Tty": False,
    "OpenStdin": False,
    "Env": [],
    "Cmd": None,
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "Labels": {},
}


def now() -> str:
    """Return the time in Docker's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def identity(text: str) -> str:
    """Return a reproducible ID for a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def tree_digest(folder: str) -> str:
    """Return a digest of the files in a directory."""
    found = hashlib.sha256()
    root = Path(folder)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


class MissingError(Exception):
    """The object of a request does not exist; the response has the status 404."""


class Engine:
    """The engine of one simulated host."""

    def __init__(self, name: str, images: list[str]) -> None:
        self.name = name
        self.images = {image: f"sha256:{identity(image)}" for image in images}
        self.containers: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.execs: dict[str, dict[str, Any]] = {}
        for network, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            self.create_network({"Name": network, "Driver": driver})
        self.count = 0

    def info(self) -> dict[str, Any]:
        """Return the state of the engine, which is a manager of a Swarm of all simulated hosts."""
        return {
            "ID": identity(self.name),
            "Name": self.name,
            "ServerVersion": VERSION["Version"],
            "Containers": len(self.containers),
            "Swarm": {
                "NodeID": identity(self.name)[:25],
                "NodeAddr": "127.0.0.1",
                "LocalNodeState": "active",
                "ControlAvailable": True,
                "RemoteManagers": [{"NodeID": identity(self.name)[:25], "Addr": "127.0.0.1:2377"}],
                "Cluster": {"ID": identity("swarm")[:25], "Spec": {"Name": "default", "Labels": {}}},
            },
        }

    def image(self, name: str) -> dict[str, Any]:
        """Return the image with a name or ID."""
        for tag, number in self.images.items():
            if name in (tag, number, number.removeprefix("sha256:"), tag.removesuffix(":latest")):
                config = {**CONFIG, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["kolla_start"]}
                return {"Id": number, "RepoTags": [tag], "RepoDigests": [], "Labels": {}, "Config": config, "Size": 1}
        raise MissingError(f"No such image: {name}")

    def container(self, name: str) -> dict[str, Any]:
        """Return the container with a name or ID."""
        for item in self.containers.values():
            if name and (item["Name"] == f"/{name.lstrip('/')}" or item["Id"].startswith(name)):
                return item
        raise MissingError(f"No such container: {name}")

    def create(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create a container from the body of Docker's request."""
        image = self.image(body["Image"])
        host = {**HOST_CONFIG, **(body.pop("HostConfig", None) or {})}
        joined = (body.pop("NetworkingConfig", None) or {}).get("EndpointsConfig") or {}
        config = {**CONFIG, **{key: value for key, value in body.items() if value is not None}}
        config["Env"] = image["Config"]["Env"] + list(body.get("Env") or [])
        config["Cmd"] = config["Cmd"] or image["Config"]["Cmd"]
        self.count += 1
        number = identity(f"{self.name} {name} {self.count}")
        mode = "bridge" if host["NetworkMode"] == "default" else host["NetworkMode"]
        container = {
            "Id": number,
            "Name": f"/{name or number[:12]}",
            "Created": now(),
            "Image": image["Id"],
            "Config": config,
            "HostConfig": host,
            "Mounts": [self.mount(bind) for bind in host["Binds"] or []],
            "NetworkSettings": {"Ports": {}, "Networks": {network: {} for network in [mode, *joined]}},
            "RestartCount": 0,
            "State": {
                "Status": "created",
                "Running": False,
                "Pid": 0,
                "ExitCode": 0,
                "StartedAt": NEVER,
                "FinishedAt": NEVER,
            },
        }
        for mount in container["Mounts"]:
            if mount["Type"] == "volume":
                self.create_volume({"Name": mount["Name"]})
        self.containers[number] = container
        return container

    def mount(self, bind: str) -> dict[str, Any]:
        """Return a bind in the format of inspections."""
        source, target, *mode = bind.split(":")
        shown = {"Source": source, "Destination": target, "Mode": ":".join(mode), "RW": "ro" not in mode}
        return {"Type": "bind", **shown} if source.startswith("/") else {"Type": "volume", "Name": source, **shown}

    def configuration(self, item: dict[str, Any]) -> str:
        """Return a digest of the configuration that is mounted into a container."""
        sources = [mount["Source"] for mount in item["Mounts"] if "config_files" in mount["Destination"]]
        return "".join(tree_digest(source) for source in sources)

    def start(self, item: dict[str, Any]) -> None:
        """Start a container, which is healthy at once, and record its current configuration."""
        state = {"Status": "running", "Running": True, "Pid": 1, "ExitCode": 0, "StartedAt": now(), "FinishedAt": NEVER}
        if (item["Config"].get("Healthcheck") or {}).get("Test"):
            state["Health"] = {"Status": "healthy", "FailingStreak": 0, "Log": []}
        item["State"] = state
        item["bench"] = self.configuration(item)
        # Bootstrap containers end at once.
        if any(entry.startswith("KOLLA_BOOTSTRAP=") for entry in item["Config"]["Env"]):
            self.stop(item)

    def stop(self, item: dict[str, Any]) -> None:
        """Stop a container."""
        item["State"] = {**item["State"], "Status": "exited", "Running": False, "Pid": 0, "FinishedAt": now()}
        item["State"].pop("Health", None)
        if item["HostConfig"]["AutoRemove"]:
            self.containers.pop(item["Id"], None)

    def listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return the summaries of the containers that match a query."""
        filters = json.loads(query.get("filters") or "{}")
        return [
            {
                "Id": item["Id"],
                "Names": [item["Name"]],
                "Image": item["Config"]["Image"],
                "ImageID": item["Image"],
                "Labels": item["Config"]["Labels"],
                "State": item["State"]["Status"],
                "Status": status(item["State"]),
                "Created": 0,
                "Ports": [],
                "Mounts": item["Mounts"],
                "HostConfig": {"NetworkMode": item["HostConfig"]["NetworkMode"]},
                "NetworkSettings": item["NetworkSettings"],
            }
            for item in self.containers.values()
            if (item["State"]["Running"] or query.get("all", "0").lower() in ("1", "true")) and matches(item, filters)
        ]

    def create_volume(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the volume of a request, which is created if missing."""
        name = body["Name"]
        volume = {"Name": name, "Driver": "local", "Labels": body.get("Labels"), "Mountpoint": f"/volumes/{name}"}
        return self.volumes.setdefault(name, {**volume, "Scope": "local", "Options": None})

    def create_network(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create the network of a request."""
        name = body["Name"]
        driver = body.get("Driver", "bridge")
        network = {
            "Name": name,
            "Id": identity(f"{self.name} network {name}"),
            "Driver": driver,
            "Scope": "swarm" if driver == "overlay" else "local",
            "Internal": bool(body.get("Internal")),
            "Attachable": bool(body.get("Attachable")),
            "Ingress": False,
            "EnableIPv6": False,
            "Labels": body.get("Labels") or {},
            "Options": body.get("Options") or {},
            "IPAM": {"Driver": "default", "Options": None, "Config": []},
            "Containers": {},
        }
        self.networks[network["Id"]] = network
        return network

    def network(self, name: str) -> dict[str, Any]:
        """Return the network with a name or ID."""
        for number, item in self.networks.items():
            if name in (number, item["Name"]):
                return item
        raise MissingError(f"No such network: {name}")

    def execute(self, item: dict[str, Any], body: dict[str, Any]) -> str:
        """Record a command in a container and return its ID; only Kolla's check of the configuration can fail."""
        command = " ".join(body.get("Cmd") or [])
        stale = "kolla_set_configs --check" in command and item["bench"] != self.configuration(item)
        number = identity(f"{item['Id']} exec {len(self.execs)}")
        self.execs[number] = {
            "ID": number,
            "Running": False,
            "ExitCode": int(stale),
            "ContainerID": item["Id"],
            "Pid": 1,
        }
        return number


def status(state: dict[str, Any]) -> str:
    """Return a container's state in the format of container lists."""
    if not state["Running"]:
        return f"{state['Status'].capitalize()} ({state['ExitCode']}) 1 second ago"
    return "Up 1 second (healthy)" if "Health" in state else "Up 1 second"


def matches(item: dict[str, Any], filters: dict[str, Any]) -> bool:
    """Return whether a container matches Docker's filters."""
    for kind, expected in filters.items():
        values = list(expected)
        labels = item["Config"]["Labels"]
        if kind == "label":
            given = [value.partition("=") for value in values]
            if not all(key in labels and (not sign or labels[key] == value) for key, sign, value in given):
                return False
        if kind == "name" and not any(re.search(value, item["Name"]) for value in values):
            return False
        if kind == "status" and item["State"]["Status"] not in values:
            return False
    return True


class Request:
    """A request: its engine, query and data."""

    def __init__(self, engine: Engine, query: dict[str, str], data: Any) -> None:
        self.engine, self.query, self.data = engine, query, data or {}


Answer = tuple[int, Any]
Route = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    """Return a decorator that registers a function for a method and a pattern of paths."""

    def register(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


@route("GET", r"/version")
def _version(_request: Request) -> Answer:
    return 200, VERSION


@route("GET", r"/info")
def _info(request: Request) -> Answer:
    return 200, request.engine.info()


@route("GET", r"/swarm")
def _swarm(request: Request) -> Answer:
    return 200, {**request.engine.info()["Swarm"]["Cluster"], "JoinTokens": {"Worker": "none", "Manager": "none"}}


@route("GET", r"/(services|nodes|tasks)")
def _swarm_lists(_request: Request, _kind: str) -> Answer:
    return 200, []


@route("GET", r"/images/json")
def _images(request: Request) -> Answer:
    return 200, [request.engine.image(name) for name in request.engine.images]


@route("GET", r"/images/(.+)/json")
def _image(request: Request, name: str) -> Answer:
    return 200, request.engine.image(name)


@route("GET", r"/containers/json")
def _containers(request: Request) -> Answer:
    return 200, request.engine.listed(request.query)


@route("POST", r"/containers/create")
def _create(request: Request) -> Answer:
    name = request.query.get("name", "")
    with contextlib.suppress(MissingError):
        request.engine.container(name)
        return 409, {"message": f"The container name {name} is already in use"}
    return 201, {"Id": request.engine.create(name, request.data)["Id"], "Warnings": []}


@route("GET", r"/containers/([^/]+)/json")
def _inspect(request: Request, name: str) -> Answer:
    return 200, request.engine.container(name)


@route("POST", r"/containers/([^/]+)/(start|restart|stop|kill)")
def _state(request: Request, name: str, verb: str) -> Answer:
    item = request.engine.container(name)
    if verb == "start" and item["State"]["Running"]:
        return 304, None
    if verb in ("start", "restart"):
        request.engine.start(item)
    else:
        request.engine.stop(item)
    return 204, None


@route("POST", r"/containers/([^/]+)/rename")
def _rename(request: Request, name: str) -> Answer:
    request.engine.container(name)["Name"] = f"/{request.query['name']}"
    return 204, None


@route("POST", r"/containers/([^/]+)/update")
def _update(request: Request, name: str) -> Answer:
    request.engine.container(name)["HostConfig"].update(request.data)
    return 200, {"Warnings": []}


@route("POST", r"/containers/([^/]+)/wait")
def _wait(request: Request, name: str) -> Answer:
    return 200, {"StatusCode": request.engine.container(name)["State"]["ExitCode"]}


@route("GET", r"/containers/([^/]+)/logs")
def _logs(_request: Request, _name: str) -> Answer:
    return 200, b""


@route("DELETE", r"/containers/([^/]+)")
def _remove(request: Request, name: str) -> Answer:
    request.engine.containers.pop(request.engine.container(name)["Id"])
    return 204, None


@route("POST", r"/containers/([^/]+)/exec")
def _exec(request: Request, name: str) -> Answer:
    return 201, {"Id": request.engine.execute(request.engine.container(name), request.data)}


@route("POST", r"/exec/([^/]+)/start")
def _exec_start(_request: Request, _number: str) -> Answer:
    return 200, b""


@route("GET", r"/exec/([^/]+)/json")
def _exec_inspect(request: Request, number: str) -> Answer:
    return 200, request.engine.execs[number]


@route("GET", r"/volumes")
def _volumes(request: Request) -> Answer:
    return 200, {"Volumes": list(request.engine.volumes.values()), "Warnings": None}


@route("POST", r"/volumes/create")
def _create_volume(request: Request) -> Answer:
    return 201, request.engine.create_volume(request.data)


@route("GET", r"/volumes/([^/]+)")
def _volume(request: Request, name: str) -> Answer:
    if name not in request.engine.volumes:
        raise MissingError(f"No such volume: {name}")
    return 200, request.engine.volumes[name]


@route("DELETE", r"/volumes/([^/]+)")
def _remove_volume(request: Request, name: str) -> Answer:
    request.engine.volumes.pop(name, None)
    return 204, None


@route("GET", r"/networks")
def _networks(request: Request) -> Answer:
    filters = json.loads(request.query.get("filters") or "{}")
    names = list(filters.get("name") or [])
    return 200, [item for item in request.engine.networks.values() if not names or item["Name"] in names]


@route("POST", r"/networks/create")
def _create_network(request: Request) -> Answer:
    return 201, {"Id": request.engine.create_network(request.data)["Id"], "Warning": ""}


@route("POST", r"/networks/([^/]+)/(?:connect|disconnect)")
def _join_network(request: Request, name: str) -> Answer:
    request.engine.network(name)
    return 200, {}


@route("GET", r"/networks/([^/]+)")
def _network(request: Request, name: str) -> Answer:
    return 200, request.engine.network(name)


@route("DELETE", r"/networks/([^/]+)")
def _remove_network(request: Request, name: str) -> Answer:
    request.engine.networks.pop(request.engine.network(name)["Id"])
    return 204, None


def answer(request: Request, method: str, path: str) -> Answer:
    """Return status and data of the response to a request."""
    for route_method, pattern, function in ROUTES:
        found = pattern.fullmatch(path)
        if route_method == method and found:
            try:
                return function(request, *found.groups())
            except (MissingError, KeyError) as error:
                return 404, {"message": str(error)}
    return 501, {"message": f"{method} {path}: not simulated"}


def caller(connection: socket.socket) -> str:
    """Return the simulated host of the process that opened a connection."""
    pid, _user, _group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(b"BENCH_HOST="):
                return entry.partition(b"=")[2].decode()
    return "localhost"


class Handler(BaseHTTPRequestHandler):
    """HTTP handler that sends the result of `answer`."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Server

    def handle_call(self) -> None:
        """Answer a request."""
        split = urlsplit(self.path)
        path = re.sub(r"^/v\d+\.\d+(?=/)", "", unquote(split.path))
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # The first request of Docker's client.
        if path == "/_ping":
            self.reply(200, b"OK")
            return
        # A call of the benchmark, which removes everything, or everything except networks.
        if path == "/bench/reset":
            for engine in self.server.engines.values():
                engine.containers.clear()
                engine.volumes.clear()
            if query.get("networks") != "keep":
                self.server.engines.clear()
            self.reply(204, None)
            return
        with self.server.lock:
            engine = self.server.engine(caller(self.connection))
            status, data = answer(Request(engine, query, json.loads(body) if body else None), self.command, path)
        if status == 501:
            print(data["message"], file=sys.stderr, flush=True)
        self.reply(status, data)

    do_GET = do_POST = do_DELETE = do_HEAD = handle_call  # noqa: N815

    def reply(self, status: int, data: Any) -> None:
        """Send a response; bytes are a stream, which ends with the connection."""
        stream = isinstance(data, bytes)
        body = data if stream else b"" if data is None else json.dumps(data).encode()
        self.send_response_only(status)
        self.send_header("Api-Version", VERSION["ApiVersion"])
        self.send_header("Content-Type", "application/vnd.docker.raw-stream" if stream else "application/json")
        if stream and self.command != "HEAD":
            self.send_header("Connection", "close")
            self.close_connection = True
        elif status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def address_string(self) -> str:
        """Return the client's name for messages, because Unix sockets have no addresses."""
        return "unix"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Server of the engines of all simulated hosts."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, path: str, images: list[str]) -> None:
        super().__init__(path, Handler)
        self.images = images
        self.engines: dict[str, Engine] = {}
        self.lock = threading.RLock()

    def engine(self, host: str) -> Engine:
        """Return the engine of a host."""
        if host not in self.engines:
            self.engines[host] = Engine(host, self.images)
        return self.engines[host]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until terminated."""
    Server(sys.argv[1], sys.argv[2:]).serve_forever()


if __name__ == "__main__":
    main()
