# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures: real, patched Qinling code on SQLite, with fakes of etcd, queue and driver.

``pytest --without-patch MODULE`` skips a patch, such as security.token_echo, to show which tests need it.
"""

import contextlib
import json
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import webob

from qinling_kolla import patches

CONFIGURATION = """
[DEFAULT]
transport_url = fake://
qinling_endpoint = http://api.example:7070
[database]
connection = sqlite:///{folder}/qinling.sqlite
[keystone_authtoken]
auth_url = http://127.0.0.1:9
www_authenticate_uri = http://127.0.0.1:9/v3
username = qinling
password = service-secret
project_name = service
user_domain_name = Default
project_domain_name = Default
[pecan]
auth_enable = false
[storage]
file_system_dir = {folder}/packages
[api]
enable_job_handler = false
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-patch", action="append", default=[], help="skip this patch")


@pytest.fixture(scope="session")
def conf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return Qinling's configuration, parsed after the patches of ``START``."""
    without = request.config.getoption("--without-patch")
    patches.START = tuple(name for name in patches.START if name not in without)
    patches.CONTROLLERS = tuple(name for name in patches.CONTROLLERS if name not in without)
    patches.apply_all()
    from oslo_config import cfg
    from qinling import config

    folder = tmp_path_factory.mktemp("qinling")
    file = folder / "qinling.conf"
    file.write_text(CONFIGURATION.format(folder=folder))
    config.parse_args(args=["--config-file", str(file)])
    return cfg.CONF


@pytest.fixture
def option(conf: Any) -> Iterator[Callable[[str, str, Any], None]]:
    """Set an option for one test."""
    touched = []

    def override(group: str, name: str, value: Any) -> None:
        conf.set_override(name, value, group=group)
        touched.append((name, group))

    yield override
    for name, group in touched:
        conf.clear_override(name, group=group)


@pytest.fixture
def ctx(conf: Any) -> Iterator[Any]:
    """Set a context of an ordinary user of project p1 for this thread."""
    from qinling import context

    result = context.Context(user_id="u1", project_id="p1", auth_token="user-token", roles=["member"])
    context.set_ctx(result)
    yield result
    context.set_ctx(None)


@pytest.fixture
def db(conf: Any, ctx: Any) -> Iterator[Any]:
    """Provide Qinling's database API with an empty database."""
    from qinling.db import api, base
    from qinling.db.sqlalchemy import models

    metadata = models.Function.metadata
    metadata.create_all(base.get_engine())
    yield api
    from qinling import context

    context.set_ctx(ctx)
    with base.get_engine().begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


class FakeEtcd:
    """The methods of etcd3gw's client that Qinling uses."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}

    def create(self, key: str, value: str) -> bool:
        return self.data.setdefault(key, value) == value

    def get(self, key: str) -> list[bytes]:
        return [self.data[key].encode()] if key in self.data else []

    def get_prefix(self, prefix: str) -> list[tuple[bytes, dict[str, Any]]]:
        return [
            (value.encode(), {"key": key.encode()})
            for key, value in sorted(self.data.items())
            if key.startswith(prefix)
        ]

    def delete(self, key: str) -> None:
        self.data.pop(key, None)

    def delete_prefix(self, prefix: str) -> None:
        for key in [key for key in self.data if key.startswith(prefix)]:
            del self.data[key]

    @contextlib.contextmanager
    def lock(self, id: str) -> Iterator[Any]:
        yield types.SimpleNamespace(is_acquired=lambda: True)


@pytest.fixture
def etcd(conf: Any, monkeypatch: pytest.MonkeyPatch) -> FakeEtcd:
    from qinling.utils import etcd_util

    fake = FakeEtcd()
    monkeypatch.setattr(etcd_util, "CLIENT", fake)
    return fake


class Recorder:
    """Recorder of method calls as (name, args, kwargs)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> None:
            self.calls.append((name, args, kwargs))

        return call

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


@pytest.fixture(scope="session")
def application(conf: Any) -> Any:
    """Return Qinling's whole WSGI application."""
    from qinling.api import app

    return app.setup_app()


@pytest.fixture
def engine_client(application: Any, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Record the API's calls of the engine."""
    from qinling.api.controllers.v1 import root

    recorder = Recorder()
    for controller in (
        root.Controller.functions,
        root.Controller.functions.versions,
        root.Controller.runtimes,
        root.Controller.executions,
        root.Controller.webhooks,
    ):
        monkeypatch.setattr(controller, "engine_client", recorder)
    return recorder


def multipart(fields: dict[str, Any]) -> tuple[str, bytes]:
    """Return content type and body of a form; bytes are an uploaded file."""
    boundary = "b0undary"
    parts = []
    for name, value in fields.items():
        disposition = f'Content-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            head = f'{disposition}; filename="{name}.zip"\r\nContent-Type: application/zip'
        else:
            head, value = disposition, str(value).encode()
        parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + value + b"\r\n")
    return f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()


@pytest.fixture
def call(application: Any, ctx: Any, db: Any, etcd: FakeEtcd, engine_client: Recorder) -> Callable[..., Any]:
    """Send a request to the API and return the response."""
    from qinling import context

    def send(method: str, path: str, data: Any = None, form: dict[str, Any] | None = None, **headers: str) -> Any:
        request = webob.Request.blank(path, method=method)
        if form is not None:
            request.content_type, request.body = multipart(form)
        elif data is not None:
            request.content_type, request.body = "application/json", json.dumps(data).encode()
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        response = request.get_response(application)
        # The request has dropped its context, which other steps of a test need.
        context.set_ctx(ctx)
        return response

    return send


@pytest.fixture
def package() -> bytes:
    """Return a function's package."""
    return make_package("def main(**kwargs):\n    return 1\n")


def make_package(source: str) -> bytes:
    """Return a ZIP package with one module ``main``."""
    import io
    import zipfile

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", source)
    return content.getvalue()


@pytest.fixture
def folder(conf: Any) -> Path:
    """Return the directory of the package storage."""
    return Path(conf.storage.file_system_dir)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Create a folder with ca.crt, other.crt (a CA of the same name), server.crt and server.key."""
    from . import certificates

    return certificates.write(tmp_path_factory.mktemp("pki"))
