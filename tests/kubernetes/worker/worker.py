# SPDX-License-Identifier: Apache-2.0
"""Worker for tests: serves GET /ping and POST /execute on port 9090, and returns the properties of its container.

The input of an execution selects an action: {"sleep": seconds} waits, {"exit": code} ends the worker during the
execution, {"fetch": url} requests a URL.
"""

import json
import os
import signal
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CALLS = {"count": 0}


def properties() -> dict[str, object]:
    """Return the identity and privileges of a process in the container."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "revision": os.environ["REVISION"],
        "pod": os.environ.get("HOSTNAME"),
        "uid": os.getuid(),
        "capabilities": status["CapBnd"].strip(),
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "seccomp": status["Seccomp"].strip(),
        "service_account": Path("/var/run/secrets/kubernetes.io").exists(),
        "service_links": sorted(name for name in os.environ if name.endswith("_SERVICE_HOST")),
        "packages_writable": os.access("/var/qinling/packages", os.W_OK),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle's algorithm would delay the second by 40 ms.
    disable_nagle_algorithm = True

    def answer(self, code: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/ping" else 404, "pong")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = os.environ.get("QINLING_WORKER_TOKEN")
        if token and self.headers.get("X-Qinling-Worker-Token") != token:
            self.answer(403, {"success": False, "output": "wrong worker token"})
            return
        CALLS["count"] += 1
        task = request.get("input") or {}
        time.sleep(task.get("sleep", 0))
        if "exit" in task:
            os._exit(task["exit"])
        output = {**properties(), "calls": CALLS["count"], "execution": request.get("execution_id")}
        if "fetch" in task:
            with urllib.request.urlopen(task["fetch"], timeout=5) as response:
                output["fetched"] = response.status
        self.answer(200, {"success": True, "output": output, "logs": "", "duration": 0})

    def log_message(self, *arguments: object) -> None:
        """Discard log messages."""


# Signals have no default action for the first process of a container.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("0.0.0.0", 9090), Handler).serve_forever()
