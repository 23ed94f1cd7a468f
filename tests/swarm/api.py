# SPDX-License-Identifier: Apache-2.0
"""Stands in for Qinling's API behind the relay: serves one package to workers, and says that it is healthy.

Started on the manager node by `nodes` as `python3 api.py SOCKET`; prints each request and who sent it.
"""

import http.server
import io
import socketserver
import sys
import zipfile
from pathlib import Path

# As Qinling's API has it, so that workers load a package once.
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
        known = self.headers.get("If-None-Match") == TAG
        content = b"{}" if "healthcheck" in self.path else b"" if known else package()
        self.send_response(304 if known else 200)
        self.send_header("ETag", TAG)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        print(self.headers.get("X-Forwarded-For"), format % args, flush=True)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("relay", 0)


if __name__ == "__main__":
    server = Server(sys.argv[1], Handler)
    Path(sys.argv[1]).chmod(0o666)
    server.serve_forever()
