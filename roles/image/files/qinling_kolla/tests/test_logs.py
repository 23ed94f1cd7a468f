# SPDX-License-Identifier: Apache-2.0
"""Destinations of logs, and what they must not contain."""

import pathlib
import subprocess
import sys
from typing import Any

import pytest

from qinling_kolla import logs

PROGRAM = """
import logging, sys
from oslo_config import cfg
from oslo_log import log
from qinling_kolla import logs

log.register_options(cfg.CONF)
cfg.CONF(args=sys.argv[2:], project="qinling")
logs.setup(sys.argv[1])
logging.getLogger("qinling.api").debug("a detail")
logging.getLogger("qinling.api").info("a fact")
logs.setup(sys.argv[1])
logging.getLogger("qinling.api").info("a fact after a reload")
"""


def run(tmp_path: pathlib.Path, service: Any, text: Any) -> Any:
    path = tmp_path / "qinling.conf"
    path.write_text(f"[DEFAULT]\n{text}\n")
    command = [sys.executable, "-c", PROGRAM, service, "--config-file", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.mark.parametrize("service", ["qinling-api", "qinling-engine"])
def test_logs_go_to_the_services_file_and_stderr(tmp_path: pathlib.Path, service: str) -> None:
    stderr = run(tmp_path, service, f"log_dir = {tmp_path}")
    assert [path.name for path in tmp_path.glob("*.log")] == [f"{service}.log"]
    for text in (stderr, (tmp_path / f"{service}.log").read_text()):
        assert text.count("a fact\n") == 1
        assert text.count("a fact after a reload") == 1
        assert "a detail" not in text


def test_debug_is_respected(tmp_path: pathlib.Path) -> None:
    assert "a detail" in run(tmp_path, "qinling-api", f"log_dir = {tmp_path}\ndebug = true")


def test_without_log_dir_logs_go_to_stderr(tmp_path: pathlib.Path) -> None:
    assert "a fact" in run(tmp_path, "qinling-api", "")
    assert not list(tmp_path.glob("*.log"))


def test_reload_without_log_dir_creates_no_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oslo_config import cfg
    from oslo_log import log

    monkeypatch.setattr(log, "setup", lambda conf, product: None)
    monkeypatch.chdir(tmp_path)
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    path = tmp_path / "qinling.conf"
    path.write_text(f"[DEFAULT]\nlog_dir = {tmp_path}\n")
    conf(args=["--config-file", str(path)])
    logs.setup("qinling-api", conf)
    assert conf.log_file == "qinling-api.log"
    path.write_text("[DEFAULT]\n")
    conf.reload_config_files()
    logs.setup("qinling-api", conf)
    assert conf.log_file is None


def test_operators_options_take_precedence(tmp_path: pathlib.Path) -> None:
    stderr = run(tmp_path, "qinling-api", f"log_dir = {tmp_path}\nlog_file = mine.log\nuse_stderr = false")
    assert "a fact" not in stderr
    assert "a fact" in (tmp_path / "mine.log").read_text()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/functions", "/v1/functions"),
        ("/v1/functions?download=true&token=x", "/v1/functions"),
        ("/v1/webhooks/0b1b6c8e/invoke", "/v1/webhooks/***/invoke"),
        ("/v1/Webhooks/0b1b6c8e", "/v1/Webhooks/***"),
        ("/v1/webhooks", "/v1/webhooks"),
        ("/a\r\nINFO forged\x1b[31m", "/a??INFO?forged?[31m"),
        ("/" + "x" * 1000, "/" + "x" * 511),
    ],
)
def test_safe_path(path: str, expected: str) -> None:
    assert logs.safe_path(path) == expected


def test_access_line() -> None:
    environ = {"REMOTE_ADDR": "", "REQUEST_METHOD": "GET", "PATH_INFO": "/v1", "QUERY_STRING": "token=x"}
    assert logs.access_line(environ, "200 OK", 7, 0.12345) == 'unix "GET /v1" status: 200 len: 7 time: 0.1235'
