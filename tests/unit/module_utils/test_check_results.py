# SPDX-License-Identifier: Apache-2.0
"""Rows of the playbook check for each response of a running service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._plan.check_results import (
    FAILED,
    OK,
    WARNING,
    catalog_problem,
    command_row,
    container_row,
    health_rows,
    memcached_row,
    pool_row,
    row,
)

NOT_RUNNING = "not checked: the container does not run"
RESTARTING = "not checked: the container restarts repeatedly"


def state(status: str = "running", health: str | None = "healthy", output: str = "", **more: Any) -> dict[str, Any]:
    details: dict[str, Any] = {"Status": status, "ExitCode": 137}
    if health:
        details["Health"] = {"Status": health, "Log": [{"Output": "old"}, {"Output": output}]}
    return {"State": details, "Config": {"Image": "kolla/etcd:1"}, **more}


@pytest.mark.parametrize(
    ("found", "result", "words"),
    [
        (None, FAILED, "does not exist; run deploy"),
        (state("exited"), FAILED, "is exited (exit code 137); see docker logs q_etcd"),
        (state(health="unhealthy", output="no answer\n"), FAILED, "not healthy: no answer"),
        (state(health="starting"), WARNING, "not known yet"),
        (state(Config={"Image": "kolla/etcd:0"}), WARNING, "runs image kolla/etcd:0; expected kolla/etcd:1"),
        (state(), OK, "q_etcd runs, is healthy"),
        (state(health=None), OK, "q_etcd runs"),
        (state(RestartCount=2), OK, "was restarted 2 times"),
    ],
)
def test_container(found: dict[str, Any] | None, result: str, words: str) -> None:
    result_row = container_row({"service": "etcd", "container": "q_etcd", "image": "kolla/etcd:1"}, found)
    assert (result_row["service"], result_row["check"], result_row["result"]) == ("etcd", "container", result)
    assert words in result_row["detail"]


@pytest.mark.parametrize("health", [None, "none"])
def test_container_without_health_check_is_not_reported_as_healthy(health: str | None) -> None:
    result_row = container_row(
        {"service": "etcd", "container": "q_etcd", "image": "kolla/etcd:1"}, state(health=health)
    )
    assert (result_row["result"], result_row["detail"]) == (OK, "q_etcd runs")


def report(**checks: str | None) -> str:
    body = {name: {"status": "failed", "reason": why} if why else {"status": "ok"} for name, why in checks.items()}
    return f"HTTP/1.0 503 Unavailable\r\nServer: x\r\n\r\n{json.dumps({'checks': body})}"


def test_health_has_a_row_for_each_check() -> None:
    check = {"service": "qinling-engine", "names": {"queue": "queue", "rpc": "messages", "orchestrator": "swarm"}}
    rows = health_rows(check, report(queue=None, rpc="nobody listens", more=None), "")
    assert [(found["check"], found["result"], found["detail"]) for found in rows] == [
        ("queue", OK, "answers"),
        ("messages", FAILED, "nobody listens"),
        ("more", OK, "answers"),
        # A check that is missing in the report has failed.
        ("swarm", FAILED, "not checked: the service has not started completely"),
    ]
    assert health_rows(check, report(queue=None).replace("\r\n", "\n"), "")[0]["result"] == OK


@pytest.mark.parametrize("answer", ["", "HTTP/1.0 200 OK\r\n\r\nwelcome", "HTTP/1.0 200 OK\r\n\r\n[]", report()[:-4]])
def test_invalid_health_report_fails(answer: str) -> None:
    check = {"service": "qinling-api", "names": {"queue": "queue"}}
    assert health_rows(check, answer, "the container is not running") == [
        row("qinling-api", "health", FAILED, "the container is not running")
    ]
    assert health_rows(check, answer, "")[0]["detail"] == "the answer is not a health report"


@pytest.mark.parametrize(
    ("code", "output", "error", "result", "detail"),
    [
        (0, "qinling-db-manage: The database is current.\n  more\n", "noise", OK, "The database is current."),
        (2, "\nx: half-migrated\n  - details\n", "", FAILED, "half-migrated"),
        (124, "x: waiting\n", "", FAILED, "no answer within 9 s"),
        (1, "", "", FAILED, "exit code 1"),
        (1, "\n", "x: Traceback\n", FAILED, "Traceback"),
        (1, "", "Error response from daemon: Container 4f is not running\n", FAILED, NOT_RUNNING),
        (1, "", "Error: No such container: q_api\n", FAILED, NOT_RUNNING),
        (1, "", "Error response from daemon: Container 4f is restarting\n", FAILED, RESTARTING),
    ],
)
def test_command(code: int, output: str, error: str, result: str, detail: str) -> None:
    check = {"service": "qinling-api", "check": "database revision", "seconds": 9}
    assert command_row(check, code, output, error) == row("qinling-api", "database revision", result, detail)


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
        ("R", "public", "http://other", "has http://qinling"),
    ],
)
def test_catalog(region: str, interface: str, url: str, words: str) -> None:
    problem = catalog_problem(CATALOG, "function-engine", region, interface, url)
    assert words in problem
    assert bool(words) == bool(problem)


@pytest.mark.parametrize(
    ("status", "pool", "result", "words"),
    [
        ("available", {"capacity": {"total": 3, "available": 2}}, OK, "3 workers, 2 free"),
        ("available", {"capacity": {"total": 0, "available": 0}}, WARNING, "no workers"),
        ("available", None, WARNING, "no workers"),
        ("error", None, WARNING, "its status is error"),
    ],
)
def test_pool(status: str, pool: Any, result: str, words: str) -> None:
    result_row = pool_row("qinling-api", {"id": "1", "name": "python3", "status": status}, pool)
    assert (result_row["check"], result_row["result"]) == ("runtime python3", result)
    assert words in result_row["detail"]


def test_memcached() -> None:
    assert memcached_row("qinling-api", "a:1", b"VERSION 1.6.38\r\n")["detail"] == "version 1.6.38"
    assert memcached_row("qinling-api", "a:1", b"HTTP/1.1 400")["result"] == FAILED


def test_details_are_one_line_of_limited_length() -> None:
    assert row("a", "b", OK, " one\n  two ")["detail"] == "one two"
    assert len(row("a", "b", OK, "x" * 1000)["detail"]) == 300
