#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_check
short_description: Check running services
version_added: 0.1.0
description:
  - Runs all checks concurrently and independently, so that a check that fails or hangs does not affect the others. The
    module fails only if it cannot run any check.
  - C(container) checks whether a container runs and is healthy. C(health) requests the health report of a Qinling
    service inside its container. C(command) runs a command in a container. C(api) logs in to Keystone, and requests
    runtimes from Qinling through each endpoint, and the worker pool of each runtime from the engine. C(memcached)
    requests the version of servers. C(certificate) checks on the controller how long a certificate of the host is
    valid.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - a Docker engine on the host, for C(container), C(health) and C(command)
  - cryptography, in Ansible's Python environment on the controller, for C(certificate)
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options:
  projects:
    description:
      - Projects whose containers and C(checks) are checked.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the project and of its role.
        type: str
        required: true
      definition:
        description: Name of the variable that defines the project, as in M(qinling.kolla.plan).
        type: str
        required: true
  checks:
    description:
      - Additional checks. The description of an option names the kinds that need it.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Kind of the check.
        type: str
        required: true
        choices: [container, health, command, api, memcached, certificate]
      service:
        description: Name of the service in the report.
        type: str
        required: true
      check:
        description: Name of the check in the report (C(command), C(certificate)).
        type: str
      container:
        description: Name of the container (C(container), C(health), C(command)).
        type: str
      image:
        description: Expected image of the container (C(container)).
        type: str
      program:
        description: The Qinling service, C(api) or C(engine) (C(health)).
        type: str
      names:
        description: Names of the checks in the report, by the checks of the health report (C(health)).
        type: dict
      argv:
        description: The command (C(command)).
        type: list
        elements: str
      endpoints:
        description: Endpoints of Qinling, each with C(interface) and C(url) (C(api)).
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
        description: Path of the certificate on the host (C(certificate)).
        type: path
      warn_days:
        description: Days before the expiry from which the result is a warning (C(certificate)).
        type: int
  auth:
    description:
      - Credentials for Keystone. Required for C(api).
    type: dict
    suboptions:
      auth_url:
        description: URL of Keystone, with or without C(/v3).
        type: str
        required: true
      username:
        description: Name of the user.
        type: str
        required: true
      password:
        description: The user's password.
        type: str
        required: true
      project_name:
        description: Project of the token.
        type: str
        required: true
      domain_name:
        description: Default domain of the user and of the project.
        type: str
        default: Default
      user_domain_name:
        description: Domain of the user.
        type: str
      project_domain_name:
        description: Domain of the project.
        type: str
  ca_cert:
    description: File with the CA certificates that verify the servers' certificates. The default are the system's CAs.
    type: path
  docker_socket:
    description: Socket of the Docker engine.
    type: path
    default: /var/run/docker.sock
  seconds:
    description: Timeout for all checks together, in seconds. A check without a result by then has failed.
    type: int
    default: 30
seealso:
  - module: qinling.kolla.check_report
  - module: qinling.kolla.container_health
"""

EXAMPLES = r"""
- name: Check | Run the checks
  qinling.kolla.service_check:
    checks:
      - {kind: container, service: qinling-api, container: qinling_api}
      - {kind: health, service: qinling-engine, container: qinling_engine, program: engine, names: {rpc: messages}}
      - kind: api
        service: qinling-api
        type: function-engine
        region: RegionOne
        endpoints:
          - {interface: public, url: "{{ qinling_public_endpoint }}"}
    auth: "{{ openstack_auth }}"
  register: checks
"""

RETURN = r"""
rows:
  description: The results, each with C(service), C(check), C(result) (ok, warning or failed) and C(detail).
  returned: always
  type: list
  elements: dict
  sample:
    - {service: qinling-api, check: container, result: ok, detail: "qinling_api runs, is healthy"}
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
from ansible_collections.qinling.kolla.plugins.module_utils._plan.check_results import FAILED, OK, Row, row

_COMMAND_SECONDS = 20
_REQUEST_SECONDS = 15
# Like qinling-healthcheck of the image, but with the full report instead of a summary.
_HEALTH = (
    "import sys; from qinling_kolla.cmd import healthcheck as h; "
    "sys.stdout.buffer.write(h.ask(h.connect(sys.argv[1], h.read_options(open(h.CONFIG_FILE).read()))))"
)


def execute(container: str, argv: list[str], seconds: int) -> subprocess.CompletedProcess[str]:
    """Run a command in a container for at most `seconds`; the exit status is 124 after a timeout."""
    command = ["docker", "exec", container, "timeout", str(seconds), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def last_line(text: str) -> str:
    """Return the last line of a text that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def check_container(check: dict[str, Any], params: dict[str, Any]) -> list[Row]:
    """Return the rows of a check, for the module's parameters; all functions of KINDS have this signature."""
    try:
        status, state = DockerApi(params["docker_socket"]).get(f"/containers/{check['container']}/json")
    except DockerUnreachableError as error:
        return [row(check["service"], "container", FAILED, f"the Docker engine does not answer: {error}")]
    return [check_results.container_row(check, state if status == 200 else None)]


def check_health(check: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    completed = execute(check["container"], ["python", "-c", _HEALTH, check["program"]], _REQUEST_SECONDS)
    error = check_results.exec_problem(completed.stderr) or last_line(completed.stderr)
    return check_results.health_rows(check, completed.stdout, error)


def check_command(check: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    completed = execute(check["container"], check["argv"], _COMMAND_SECONDS)
    check = {**check, "seconds": _COMMAND_SECONDS}
    return [check_results.command_row(check, completed.returncode, completed.stdout, completed.stderr)]


def check_api(check: dict[str, Any], params: dict[str, Any]) -> list[Row]:
    service, auth = check["service"], params["auth"]
    # Do not wait: an unreachable service is a failed check.
    api = qinling_api.Qinling({"endpoint": "", "auth": auth, "ca_cert": params["ca_cert"], "wait": 0})
    started = time.monotonic()
    try:
        api.log_in(_REQUEST_SECONDS)
    except qinling_api.QinlingError as error:
        skipped = [
            row(service, f"endpoint {endpoint['interface']}", FAILED, "not checked: the login to Keystone failed")
            for endpoint in check["endpoints"]
        ]
        return [row(service, "keystone", FAILED, str(error)), *skipped]
    login = f"{auth['username']} can log in at {auth['auth_url']} ({time.monotonic() - started:.1f} s)"
    rows = [row(service, "keystone", OK, login)]
    catalog = api.token.get("catalog", [])
    reachable = api
    runtimes: list[dict[str, Any]] = []
    for endpoint in check["endpoints"]:
        title, url = f"endpoint {endpoint['interface']}", endpoint["url"]
        client = api.at(url)
        try:
            runtimes = client.send("GET", "/runtimes", seconds=_REQUEST_SECONDS)["runtimes"]
        except (qinling_api.QinlingError, KeyError, TypeError) as error:
            rows.append(row(service, title, FAILED, str(error)))
            continue
        reachable = client
        problem = check_results.catalog_problem(catalog, check["type"], check["region"], endpoint["interface"], url)
        detail = f"{url} answers" + (f", but {problem}" if problem else "")
        rows.append(row(service, title, FAILED if problem else OK, detail))
    for runtime in runtimes:
        try:
            path = f"/runtimes/{runtime['id']}/pool"
            pool = reachable.send("GET", path, seconds=_REQUEST_SECONDS) if runtime["status"] == "available" else None
            rows.append(check_results.pool_row(service, runtime, pool))
        except qinling_api.QinlingError as error:
            rows.append(row(service, f"runtime {runtime['name'] or runtime['id']}", FAILED, str(error)))
    return rows


def check_memcached(check: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    rows = []
    for server in check["servers"]:
        host, _colon, port = server.rpartition(":")
        try:
            address = (host.removeprefix("inet6:").strip("[]"), int(port))
            with socket.create_connection(address, timeout=5) as connection:
                connection.sendall(b"version\r\n")
                rows.append(check_results.memcached_row(check["service"], server, connection.recv(100)))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            rows.append(row(check["service"], f"memcached {server}", FAILED, reason))
    return rows


def check_certificate(check: dict[str, Any], _params: dict[str, Any]) -> list[Row]:
    # The action plugin of the same name parses the certificate, because the library is on the controller.
    try:
        content = Path(check["path"]).read_text("ascii", "replace")
    except OSError as error:
        return [row(check["service"], check["check"], FAILED, f"{check['path']}: {error.strerror}")]
    result = row(check["service"], check["check"], OK, check["path"])
    return [{**result, "certificate": content, "warn_days": str(check["warn_days"])}]


KINDS: dict[str, Callable[[dict[str, Any], dict[str, Any]], list[Row]]] = {
    "container": check_container,
    "health": check_health,
    "command": check_command,
    "api": check_api,
    "memcached": check_memcached,
    "certificate": check_certificate,
}


def title_of(check: dict[str, Any]) -> str:
    """Return the name of a check in the report if it returned no rows."""
    return str(check.get("check") or check["kind"])


def run_checks(
    params: dict[str, Any], kinds: dict[str, Callable[[dict[str, Any], dict[str, Any]], list[Row]]]
) -> list[Row]:
    """Run all checks of the module's parameters concurrently, and return their rows in order."""
    rows: dict[int, list[Row]] = {}

    def run_check(number: int, check: dict[str, Any]) -> None:
        try:
            rows[number] = kinds[check["kind"]](check, params)
        except Exception as error:  # the other checks have to be reported
            detail = f"could not check: {type(error).__name__}: {error}"
            rows[number] = [row(check["service"], title_of(check), FAILED, detail)]

    deadline = time.monotonic() + params["seconds"]
    threads = [
        threading.Thread(target=run_check, args=(number, check), daemon=True)
        for number, check in enumerate(params["checks"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    timeout = f"no answer within {params['seconds']} s"
    return [
        result
        for number, check in enumerate(params["checks"])
        for result in rows.get(number, [row(check["service"], title_of(check), FAILED, timeout)])
    ]


def main() -> None:
    options = {
        "kind": {"type": "str", "required": True, "choices": list(KINDS)},
        "service": {"type": "str", "required": True},
        **{name: {"type": "str"} for name in ("check", "container", "image", "program", "type", "region")},
        "names": {"type": "dict"},
        "argv": {"type": "list", "elements": "str"},
        "endpoints": {"type": "list", "elements": "dict"},
        "servers": {"type": "list", "elements": "str"},
        "path": {"type": "path"},
        "warn_days": {"type": "int"},
    }
    project = {name: {"type": "str", "required": True} for name in ("name", "definition")}
    module = AnsibleModule(
        argument_spec={
            # Evaluated by the action plugin, which adds the checks of the projects to `checks`.
            "projects": {"type": "list", "elements": "dict", "default": [], "options": project},
            "checks": {"type": "list", "elements": "dict", "default": [], "options": options},
            "auth": {**qinling_api.ARGUMENTS["auth"], "required": False},
            "ca_cert": {"type": "path"},
            "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
            "seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, rows=run_checks(module.params, KINDS))


if __name__ == "__main__":
    main()
