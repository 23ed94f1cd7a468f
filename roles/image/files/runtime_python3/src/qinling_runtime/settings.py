# SPDX-License-Identifier: Apache-2.0
"""Settings, each from an environment variable QINLING_RUNTIME_<NAME IN CAPITALS>."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

PREFIX = "QINLING_RUNTIME_"
# The token that /execute requires, or its SHA-256 in hexadecimal, as functions can read the environment of their
# container's first process.
WORKER_TOKEN = "QINLING_WORKER_TOKEN"
WORKER_TOKEN_HASH = "QINLING_WORKER_TOKEN_SHA256"

# Variables of the image's environment that functions get. QINLING_RUNTIME_KEEP_ENV adds names.
KEPT_ENV = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class Settings:
    """Settings of the server, with defaults for a worker container."""

    address: str = "0.0.0.0"
    port: int = 9090
    sidecar_address: str = "127.0.0.1"
    sidecar_port: int = 9091
    packages: str = "/var/qinling/packages"
    scratch: str = "/tmp"
    max_connections: int = 64
    max_request: int = 16 * 1024 * 1024
    max_package: int = 50 * 1024 * 1024
    max_unpacked: int = 256 * 1024 * 1024
    max_files: int = 10000
    # Qinling stores logs in a MySQL TEXT column of 65535 bytes; longer logs would fail the execution.
    max_logs: int = 60000
    max_output: int = 8 * 1024 * 1024
    max_processes: int = 128
    download_timeout: int = 30
    # "true", "false", or the path of a CA bundle: for https download addresses and for os_session.
    verify: str = "true"
    keep_env: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Return the settings from ``env``; raise ValueError with the name of an invalid variable."""
        values: dict[str, str | int] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            text = env.get(name, "").strip()
            if not text:
                continue
            if isinstance(field.default, int):
                if not text.isdecimal() or not int(text):
                    raise ValueError(f"{name} must be a positive whole number, not {text!r}")
                values[field.name] = int(text)
            else:
                values[field.name] = text
        return cls(**values)  # type: ignore[arg-type]

    def function_env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of ``env`` that a function may read: no secrets, and no injected addresses."""
        extra = (name.strip() for name in self.keep_env.split(","))
        return {name: env[name] for name in (*KEPT_ENV, *extra) if name in env and not name.startswith(WORKER_TOKEN)}
