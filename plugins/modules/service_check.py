#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: service_check
short_description: Look at what runs on a host, and tell what is well and what is not
version_added: 0.1.0
description:
  - Takes a list of looks and has all of them at once, each for itself, so that one that fails or hangs does not keep
    the others from being had. Changes nothing, and fails only if it can not look at all.
  - C(container) asks Docker whether a container runs and is healthy; C(health) asks a service of Qinling inside its
    container what it sees; C(command) runs a command in a container; C(api) logs in at Keystone, and asks Qinling
    through each endpoint, and the engine for each runtime; C(memcached) asks servers for their version; C(certificate)
    tells on the controller how long a certificate of the host lasts.
author:
  - the qinling.kolla authors
options:
  projects:
    description:
      - Projects whose containers and C(checks) are checked, each with C(name) and the variable C(definition) that
        describes it, as M(qinling.kolla.plan) takes them.
    type: list
    elements: dict
    default: []
  looks:
    description:
      - What else to look at, each with O(looks[].kind), O(looks[].service) and what its kind needs.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: How to look.
        type: str
        required: true
        choices: [container, health, command, api, memcached, certificate]
      service:
        description: Whom it is about, for the table.
        type: str
        required: true
      look:
        description: What is looked at, for the table (C(command), C(certificate)).
        type: str
      container:
        description: Name of the container (C(container), C(health), C(command)).
        type: str
      image:
        description: Image that it is expected to run (C(container)).
        type: str
      program:
        description: Which of Qinling's services it is, C(api) or C(engine) (C(health)).
        type: str
      names:
        description: Its checks, and what the table calls them (C(health)).
        type: dict
      argv:
        description: The command (C(command)).
        type: list
        elements: str
      endpoints:
        description: Endpoints of Qinling, each C(interface) and C(url) (C(api)).
        type: list
        elements: dict
      type:
        description: Qinling's service type in the catalog (C(api)).
        type: str
      region:
        description: Region in the catalog (C(api)).
        type: str
      servers:
        description: Servers as C(host:port) (C(memcached)).
        type: list
        elements: str
      path:
        description: A certificate on the host (C(certificate)).
        type: path
      warn_days:
        description: Days before its end from which on there is a warning (C(certificate)).
        type: int
  auth:
    description:
      - How to log in to Keystone. Needed for C(api).
      - Required are C(auth_url), C(username), C(password) and C(project_name). C(user_domain_name) and
        C(project_domain_name) default to C(domain_name), which defaults to V(Default).
    type: dict
  ca_cert:
    description: File with the certificates of the authorities that the servers' certificates are checked with.
    type: path
  docker_socket:
    description: The Docker engine's socket.
    type: path
    default: /var/run/docker.sock
  seconds:
    description: Seconds that all looks together may take; what has not answered by then is wrong.
    type: int
    default: 30
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
"""

EXAMPLES = r"""
- name: Check | Look
  qinling.kolla.service_check:
    looks:
      - {kind: container, service: qinling-api, container: qinling_api}
      - {kind: health, service: qinling-engine, container: qinling_engine, program: engine, names: {rpc: messages}}
      - kind: api
        service: qinling-api
        type: function-engine
        region: RegionOne
        endpoints:
          - {interface: public, url: "{{ qinling_public_endpoint }}"}
    auth: "{{ openstack_auth }}"
  register: looked
"""

RETURN = r"""
rows:
  description: What was seen, one C(service), C(look), C(verdict) (ok, warning or WRONG) and C(detail) each.
  returned: always
  type: list
  elements: dict
  sample:
    - {service: qinling-api, look: container, verdict: ok, detail: "qinling_api runs, is healthy"}
"""

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._docker.api import DockerApi, DockerUnreachableError
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import qinling_api
from ansible_collections.qinling.kolla.plugins.module_utils._plan import check_results
from ansible_collections.qinling.kolla.plugins.module_utils._plan.check_results import Row

_COMMAND_SECONDS = 20
_REQUEST_SECONDS = 15
# What qinling-healthcheck of the image does, but for its summing up.
_HEALTH = (
    "import sys; from qinling_kolla.cmd import healthcheck as h; "
    "sys.stdout.buffer.write(h.ask(h.connect(sys.argv[1], h.read_options(open(h.CONFIG_FILE).read()))))"
)


def execute(container: str, argv: list[str], seconds: int) -> subprocess.CompletedProcess[str]:
    """Takes a container, a command and how long it may take, returns how it ended (with 124 where it took longer)."""
    command = ["docker", "exec", container, "timeout", str(seconds), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def last_line(text: str) -> str:
    """Takes what a command wrote, returns the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def look_container(look: dict[str, Any], params: dict[str, Any]) -> list[Row]:
    """Takes a look and the module's parameters, returns its rows; so do all of these."""
    try:
        status, state = DockerApi(params["docker_socket"]).get(f"/containers/{look['container']}/json")
    except DockerUnreachableError as error:
        return [
            check_results.row(
                look["service"], "container", check_results.WRONG, f"the Docker engine does not answer: {error}"
            )
        ]
    return [check_results.container_row(look, state if status == 200 else None)]


def look_health(look: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    done = execute(look["container"], ["python", "-c", _HEALTH, look["program"]], _REQUEST_SECONDS)
    return check_results.health_rows(
        look, done.stdout, check_results.exec_problem(done.stderr) or last_line(done.stderr)
    )


def look_command(look: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    done = execute(look["container"], look["argv"], _COMMAND_SECONDS)
    return [check_results.command_row({**look, "seconds": _COMMAND_SECONDS}, done.returncode, done.stdout, done.stderr)]


def look_api(look: dict[str, Any], params: dict[str, Any]) -> list[Row]:
    service, auth = look["service"], params["auth"]
    # A service that is not there is a finding, not something to wait for.
    api = qinling_api.Qinling({"endpoint": "", "auth": auth, "ca_cert": params["ca_cert"], "wait": 0})
    started = time.monotonic()
    try:
        api.log_in(_REQUEST_SECONDS)
    except qinling_api.QinlingError as error:
        skipped = [
            check_results.row(
                service, f"endpoint {endpoint['interface']}", check_results.WRONG, "not looked at: no login at Keystone"
            )
            for endpoint in look["endpoints"]
        ]
        return [check_results.row(service, "keystone", check_results.WRONG, str(error)), *skipped]
    took = f"{auth['username']} can log in at {auth['auth_url']} ({time.monotonic() - started:.1f} s)"
    rows = [check_results.row(service, "keystone", check_results.OK, took)]
    catalog = api.token.get("catalog", [])
    answered = api
    runtimes: list[dict[str, Any]] = []
    for endpoint in look["endpoints"]:
        title, url = f"endpoint {endpoint['interface']}", endpoint["url"]
        there = api.at(url)
        try:
            runtimes = there.send("GET", "/runtimes", seconds=_REQUEST_SECONDS)["runtimes"]
        except (qinling_api.QinlingError, KeyError, TypeError) as error:
            rows.append(check_results.row(service, title, check_results.WRONG, str(error)))
            continue
        answered = there
        problem = check_results.catalog_problem(catalog, look["type"], look["region"], endpoint["interface"], url)
        detail = f"{url} answers" + (f", but {problem}" if problem else "")
        rows.append(check_results.row(service, title, check_results.WRONG if problem else check_results.OK, detail))
    for runtime in runtimes:
        try:
            path = f"/runtimes/{runtime['id']}/pool"
            pool = answered.send("GET", path, seconds=_REQUEST_SECONDS) if runtime["status"] == "available" else None
            rows.append(check_results.pool_row(service, runtime, pool))
        except qinling_api.QinlingError as error:
            rows.append(
                check_results.row(
                    service, f"runtime {runtime['name'] or runtime['id']}", check_results.WRONG, str(error)
                )
            )
    return rows


def look_memcached(look: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    rows = []
    for server in look["servers"]:
        host, _colon, port = server.rpartition(":")
        try:
            address = (host.removeprefix("inet6:").strip("[]"), int(port))
            with socket.create_connection(address, timeout=5) as connection:
                connection.sendall(b"version\r\n")
                rows.append(check_results.memcached_row(look["service"], server, connection.recv(100)))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            rows.append(check_results.row(look["service"], f"memcached {server}", check_results.WRONG, reason))
    return rows


def look_certificate(look: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    # What it says is told on the controller, which has the library for it: see the action of the same name.
    try:
        content = Path(look["path"]).read_text("ascii", "replace")
    except OSError as error:
        return [
            check_results.row(look["service"], look["look"], check_results.WRONG, f"{look['path']}: {error.strerror}")
        ]
    said = check_results.row(look["service"], look["look"], check_results.OK, look["path"])
    return [{**said, "certificate": content, "warn_days": str(look["warn_days"])}]


KINDS: dict[str, Callable[[dict[str, Any], dict[str, Any]], list[Row]]] = {
    "container": look_container,
    "health": look_health,
    "command": look_command,
    "api": look_api,
    "memcached": look_memcached,
    "certificate": look_certificate,
}


def title_of(look: dict[str, Any]) -> str:
    """Takes a look, returns what the table calls it when it said nothing itself."""
    return str(look.get("look") or look["kind"])


def have(params: dict[str, Any], kinds: dict[str, Callable[[dict[str, Any], dict[str, Any]], list[Row]]]) -> list[Row]:
    """Takes the module's parameters and how each kind looks, has all looks at once, returns their rows in order."""
    rows: dict[int, list[Row]] = {}

    def one(number: int, look: dict[str, Any]) -> None:
        try:
            rows[number] = kinds[look["kind"]](look, params)
        except Exception as error:  # an outcome like any other: the rest is to be seen all the same
            detail = f"could not look: {type(error).__name__}: {error}"
            rows[number] = [check_results.row(look["service"], title_of(look), check_results.WRONG, detail)]

    deadline = time.monotonic() + params["seconds"]
    threads = [
        threading.Thread(target=one, args=(number, look), daemon=True) for number, look in enumerate(params["looks"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {params['seconds']} s"
    return [
        found
        for number, look in enumerate(params["looks"])
        for found in rows.get(number, [check_results.row(look["service"], title_of(look), check_results.WRONG, late)])
    ]


def main() -> None:
    options = {
        "kind": {"type": "str", "required": True, "choices": list(KINDS)},
        "service": {"type": "str", "required": True},
        **{name: {"type": "str"} for name in ("look", "container", "image", "program", "type", "region")},
        "names": {"type": "dict"},
        "argv": {"type": "list", "elements": "str"},
        "endpoints": {"type": "list", "elements": "dict"},
        "servers": {"type": "list", "elements": "str"},
        "path": {"type": "path"},
        "warn_days": {"type": "int"},
    }
    module = AnsibleModule(
        argument_spec={
            "looks": {"type": "list", "elements": "dict", "required": True, "options": options},
            "auth": {**qinling_api.ARGUMENTS["auth"], "required": False},
            "ca_cert": {"type": "path"},
            "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
            "seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, rows=have(module.params, KINDS))


if __name__ == "__main__":
    main()
