# SPDX-License-Identifier: Apache-2.0
"""qinling-healthcheck api|engine: the health check of a container, which queries the service's health.

It runs every few seconds, so it imports few modules.
"""

import json
import socket
import sys

CONFIG_FILE = "/etc/qinling/qinling.conf"
# The services answer within 3 s even if a check hangs.
TIMEOUT = 5.0

Options = dict[tuple[str, str], str]


def read_options(text: str) -> Options:
    """Return {(section, option): value} of an INI text; the last value counts, as in the services."""
    section, options = "DEFAULT", {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#;" or line[0] in " \t":
            continue
        if stripped[0] == "[" and "]" in stripped:
            section = stripped[1 : stripped.index("]")]
            continue
        name, separator, value = stripped.partition("=")
        if separator:
            options[section, name.strip()] = value.strip().strip("\"'")
    return options


def connect(service: str, options: Options) -> socket.socket:
    """Return a connection to the service's health address."""
    if service == "engine":
        return _unix(options.get(("engine", "health_socket")) or "/run/qinling/engine-health.sock")
    host = (options.get(("api", "host")) or "").strip("[]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # nothing is bound here
    connection = socket.create_connection((host, int(options.get(("api", "port")) or 7070)), timeout=TIMEOUT)
    if options.get(("api", "enable_ssl_api"), "").lower() not in ("true", "1", "yes", "on"):
        return connection
    import ssl

    # The certificate is checked elsewhere, and does not name this address.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def _unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT)
    connection.connect(path)
    return connection


def ask(connection: socket.socket) -> bytes:
    """Send the request and return the whole response; the module service_check calls this function in containers."""
    connection.sendall(b"GET /healthcheck HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    response = b""
    while chunk := connection.recv(65536):
        response += chunk
    return response


def evaluate(response: bytes) -> tuple[bool, str]:
    """Return whether the service is healthy, and the reason in one line."""
    head, _unused, body = response.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    try:
        report = json.loads(body)
        failed = [f"{name}: {check['reason']}" for name, check in report["checks"].items() if check["status"] != "ok"]
        names = ", ".join(report["checks"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False, "the response is not a health report"
    if len(words) > 1 and words[1] == b"200" and not failed:
        return True, f"ok ({names})"
    return False, "; ".join(failed) or "not healthy"


def main(arguments: list[str] | None = None) -> int:
    """Print one line about the service's health; return 0 if it is healthy, else 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    path = CONFIG_FILE
    if len(arguments) == 3 and arguments[1] == "--config-file":
        path = arguments.pop(2)
        arguments.pop(1)
    if arguments not in (["api"], ["engine"]):
        print("usage: qinling-healthcheck api|engine [--config-file FILE]")
        return 1
    service = arguments[0]
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # importing pathlib takes longer
            options = read_options(file.read())
        with connect(service, options) as connection:
            healthy, reason = evaluate(ask(connection))
    except TimeoutError:
        healthy, reason = False, f"no answer within {TIMEOUT:g} s"
    except (OSError, ValueError) as error:
        healthy, reason = False, f"no answer: {error}"
    print(f"qinling-{service}: {reason}")
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
