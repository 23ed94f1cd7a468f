# SPDX-License-Identifier: Apache-2.0
"""Replacement of Qinling's API behind the gateway: serves one package to workers, and reports healthy.

`nodes` starts it on the manager node as `python3 api.py SOCKET`. It prints each request with its sender.
"""

import http.server
import io
import socket
import socketserver
import sys
import zipfile
from pathlib import Path

# As in Qinling's API, so that workers download a package once.
TAG = '"package-1"'
FUNCTION = """
import os
import socket


def main(name="World"):
    print("hi", name)
    return "Hello, " + name


def address():
    return socket.gethostbyname(socket.gethostname())


def environment():
    return dict(os.environ)


def neighbours():
    found = {}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        for name in ("environ", "cmdline"):
            try:
                found[pid + name] = open("/proc/%s/%s" % (pid, name)).read()
            except OSError as error:
                found[pid + name] = str(error)
    return found
"""


def package() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", FUNCTION)
    return content.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        cached = self.headers.get("If-None-Match") == TAG
        content = b"{}" if "healthcheck" in self.path else b"" if cached else package()
        self.send_response(304 if cached else 200)
        self.send_header("ETag", TAG)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        print(self.headers.get("X-Forwarded-For"), format % args, flush=True)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        request, _unused = super().get_request()
        return request, ("gateway", 0)


if __name__ == "__main__":
    server = Server(sys.argv[1], Handler)
    Path(sys.argv[1]).chmod(0o666)
    server.serve_forever()
