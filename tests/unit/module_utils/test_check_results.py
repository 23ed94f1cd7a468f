# SPDX-License-Identifier: Apache-2.0
"""What each answer of a running service becomes in the table of the playbook check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._plan.check_results import (
    OK,
    WARNING,
    WRONG,
    catalog_problem,
    command_row,
    container_row,
    health_rows,
    memcached_row,
    pool_row,
    row,
)

NOT_RUNNING = "not looked at: the container does not run"
RESTARTING = "not looked at: the container starts again and again"


def state(status: str = "running", health: str | None = "healthy", said: str = "", **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"Status": status, "ExitCode": 137}
    if health:
        shown["Health"] = {"Status": health, "Log": [{"Output": "old"}, {"Output": said}]}
    return {"State": shown, "Config": {"Image": "kolla/etcd:1"}, **more}


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (None, WRONG, "is not there; run deploy"),
        (state("exited"), WRONG, "is exited (exit code 137); see docker logs q_etcd"),
        (state(health="unhealthy", said="no answer\n"), WRONG, "not healthy: no answer"),
        (state(health="starting"), WARNING, "not known yet"),
        (state(Config={"Image": "kolla/etcd:0"}), WARNING, "runs image kolla/etcd:0, the settings say kolla/etcd:1"),
        (state(), OK, "q_etcd runs, is healthy"),
        (state(health=None), OK, "q_etcd runs"),
        (state(RestartCount=2), OK, "was started again 2 times"),
    ],
)
def test_container(found: dict[str, Any] | None, verdict: str, words: str) -> None:
    seen = container_row({"service": "etcd", "container": "q_etcd", "image": "kolla/etcd:1"}, found)
    assert (seen["service"], seen["look"], seen["verdict"]) == ("etcd", "container", verdict)
    assert words in seen["detail"]


@pytest.mark.parametrize("health", [None, "none"])
def test_a_container_without_health_check_is_not_called_healthy(health: str | None) -> None:
    seen = container_row({"service": "etcd", "container": "q_etcd", "image": "kolla/etcd:1"}, state(health=health))
    assert (seen["verdict"], seen["detail"]) == (OK, "q_etcd runs")


def report(**checks: str | None) -> str:
    shown = {name: {"status": "failed", "reason": why} if why else {"status": "ok"} for name, why in checks.items()}
    return f"HTTP/1.0 503 Unavailable\r\nServer: x\r\n\r\n{json.dumps({'checks': shown})}"


def test_health_has_a_row_for_each_check() -> None:
    look = {"service": "qinling-engine", "names": {"queue": "queue", "rpc": "messages", "orchestrator": "swarm"}}
    rows = health_rows(look, report(queue=None, rpc="nobody listens", more=None), "")
    assert [(found["look"], found["verdict"], found["detail"]) for found in rows] == [
        ("queue", OK, "answers"),
        ("messages", WRONG, "nobody listens"),
        ("more", OK, "answers"),
        # What did not come in the report is not taken for well.
        ("swarm", WRONG, "not looked at: the service has not started so far"),
    ]
    assert health_rows(look, report(queue=None).replace("\r\n", "\n"), "")[0]["verdict"] == OK


@pytest.mark.parametrize("answer", ["", "HTTP/1.0 200 OK\r\n\r\nwelcome", "HTTP/1.0 200 OK\r\n\r\n[]", report()[:-4]])
def test_health_without_a_report(answer: str) -> None:
    look = {"service": "qinling-api", "names": {"queue": "queue"}}
    assert health_rows(look, answer, "the container is not running") == [
        row("qinling-api", "health", WRONG, "the container is not running")
    ]
    assert health_rows(look, answer, "")[0]["detail"] == "the answer is not a health report"


@pytest.mark.parametrize(
    ("code", "output", "error", "verdict", "detail"),
    [
        (0, "qinling-db-manage: The database is current.\n  more\n", "noise", OK, "The database is current."),
        (2, "\nx: half-migrated\n  - details\n", "", WRONG, "half-migrated"),
        (124, "x: waiting\n", "", WRONG, "no answer within 9 s"),
        (1, "", "", WRONG, "exit code 1"),
        (1, "\n", "x: Traceback\n", WRONG, "Traceback"),
        (1, "", "Error response from daemon: Container 4f is not running\n", WRONG, NOT_RUNNING),
        (1, "", "Error: No such container: q_api\n", WRONG, NOT_RUNNING),
        (1, "", "Error response from daemon: Container 4f is restarting\n", WRONG, RESTARTING),
    ],
)
def test_command(code: int, output: str, error: str, verdict: str, detail: str) -> None:
    look = {"service": "qinling-api", "look": "database revision", "seconds": 9}
    assert command_row(look, code, output, error) == row("qinling-api", "database revision", verdict, detail)


CATALOG = [
    {"type": "identity", "endpoints": [{"interface": "public", "region_id": "R", "url": "http://keystone"}]},
    {"type": "function-engine", "endpoints": [{"interface": "public", "region_id": "R", "url": "http://qinling"}]},
]


@pytest.mark.parametrize(
    ("region", "interface", "url", "words"),
    [
        ("R", "public", "http://qinling", ""),
        ("R", "internal", "http://qinling", "has no internal endpoint of function-engine in R"),
        ("S", "public", "http://qinling", "has no public endpoint of function-engine in S"),
        ("R", "public", "http://other", "says http://qinling"),
    ],
)
def test_catalog(region: str, interface: str, url: str, words: str) -> None:
    problem = catalog_problem(CATALOG, "function-engine", region, interface, url)
    assert words in problem
    assert bool(words) == bool(problem)


@pytest.mark.parametrize(
    ("status", "pool", "verdict", "words"),
    [
        ("available", {"capacity": {"total": 3, "available": 2}}, OK, "3 workers, 2 of them free"),
        ("available", {"capacity": {"total": 0, "available": 0}}, WARNING, "no workers"),
        ("available", None, WARNING, "no workers"),
        ("error", None, WARNING, "its status is error"),
    ],
)
def test_pool(status: str, pool: Any, verdict: str, words: str) -> None:
    seen = pool_row("qinling-api", {"id": "1", "name": "python3", "status": status}, pool)
    assert (seen["look"], seen["verdict"]) == ("runtime python3", verdict)
    assert words in seen["detail"]


def test_memcached() -> None:
    assert memcached_row("qinling-api", "a:1", b"VERSION 1.6.38\r\n")["detail"] == "version 1.6.38"
    assert memcached_row("qinling-api", "a:1", b"HTTP/1.1 400")["verdict"] == WRONG


def test_details_are_one_line_of_bearable_length() -> None:
    assert row("a", "b", OK, " one\n  two ")["detail"] == "one two"
    assert len(row("a", "b", OK, "x" * 1000)["detail"]) == 300
