# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Convert the results of checks of running services to rows of service, check, result and detail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

OK, WARNING, FAILED = "ok", "warning", "failed"
_DETAIL_LIMIT = 300
# Exit status of coreutils' `timeout` if the command timed out.
_TIMED_OUT = 124

Row = dict[str, str]


def row(service: str, check: str, result: str, detail: str) -> Row:
    """Return a row; the detail is shortened to one line of limited length."""
    words = " ".join(detail.split())
    if len(words) > _DETAIL_LIMIT:
        words = words[: _DETAIL_LIMIT - 1] + "…"
    return {"service": service, "check": check, "result": result, "detail": words}


def container_row(check: Mapping[str, Any], state: Mapping[str, Any] | None) -> Row:
    """Return the row of a check of a container (`service`, `container`, `image`).

    `state` are the container's details from Docker; None if it does not exist.
    """
    service, name = check["service"], check["container"]
    if state is None:
        return row(service, "container", FAILED, f"{name} does not exist; run deploy")
    status = state["State"]["Status"]
    if status != "running":
        code = state["State"].get("ExitCode")
        return row(service, "container", FAILED, f"{name} is {status} (exit code {code}); see docker logs {name}")
    health = state["State"].get("Health") or {}
    output = (health.get("Log") or [{}])[-1].get("Output", "").strip()
    if health.get("Status") == "unhealthy":
        return row(service, "container", FAILED, f"{name} runs, but is not healthy: {output or 'no output'}")
    if health.get("Status") == "starting":
        return row(service, "container", WARNING, f"{name} is starting; its health is not known yet")
    if check.get("image") and state["Config"]["Image"] != check["image"]:
        detail = f"{name} runs image {state['Config']['Image']}; expected {check['image']}; run upgrade"
        return row(service, "container", WARNING, detail)
    restarts = state.get("RestartCount", 0)
    restarted = f", was restarted {restarts} times" if restarts else ""
    healthy = ", is healthy" if health.get("Status") == "healthy" else ""
    return row(service, "container", OK, f"{name} runs{healthy}{restarted}")


def exec_problem(error: str) -> str:
    """Return why `docker exec` could not start a command, from its standard error; empty if it started."""
    if "is not running" in error or "No such container" in error:
        return "not checked: the container does not run"
    return "not checked: the container restarts repeatedly" if "is restarting" in error else ""


def health_rows(check: Mapping[str, Any], answer: str, error: str) -> list[Row]:
    """Return the rows of a service's health report.

    The `names` of a check map the checks of the report to their titles in the table; a check that is missing in the
    report did not run. `answer` is the HTTP response with the report of `qinling_kolla.health`, `error` the reason if
    the request failed.
    """
    service, names = check["service"], check["names"]
    try:
        checks = json.loads(answer.replace("\r\n", "\n").partition("\n\n")[2])["checks"]
        found = {str(name): None if check["status"] == "ok" else str(check["reason"]) for name, check in checks.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return [row(service, "health", FAILED, error or "the answer is not a health report")]
    rows = []
    for name, title in {**{name: name for name in found}, **names}.items():
        if name not in found:
            rows.append(row(service, title, FAILED, "not checked: the service has not started completely"))
        elif found[name]:
            rows.append(row(service, title, FAILED, str(found[name])))
        else:
            rows.append(row(service, title, OK, "answers"))
    return rows


def command_row(check: Mapping[str, Any], code: int, output: str, error: str) -> Row:
    """Return the row of a command (`service`, `check`, `seconds`) from its exit status, output and errors.

    The detail is the first line, without the leading name of the command.
    """
    problem = exec_problem(error) if code else ""
    if problem:
        return row(check["service"], check["check"], FAILED, problem)
    output = output if output.strip() else error
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    detail = lines[0].split(": ", 1)[-1] if lines else f"exit code {code}"
    if code == _TIMED_OUT:
        detail = f"no answer within {check['seconds']} s"
    return row(check["service"], check["check"], OK if code == 0 else FAILED, detail)


def catalog_problem(
    catalog: Iterable[Mapping[str, Any]], service_type: str, region: str, interface: str, url: str
) -> str:
    """Return how a token's catalog differs from an expected endpoint; empty if it does not."""
    urls = [
        str(endpoint.get("url", ""))
        for service in catalog
        if service.get("type") == service_type
        for endpoint in service.get("endpoints", [])
        if endpoint.get("interface") == interface and endpoint.get("region_id", endpoint.get("region")) == region
    ]
    if not urls:
        return f"Keystone's catalog has no {interface} endpoint of {service_type} in {region}; run deploy"
    if url not in urls:
        return f"Keystone's catalog has {', '.join(urls)}; run deploy"
    return ""


def pool_row(service: str, runtime: Mapping[str, Any], pool: Any) -> Row:
    """Return the row of a runtime; its pool, as Qinling's API returns it, shows that the engine answers."""
    check = f"runtime {runtime.get('name') or runtime['id']}"
    if runtime.get("status") != "available":
        return row(service, check, WARNING, f"its status is {runtime.get('status')}; see the engine's log")
    capacity = (pool or {}).get("capacity") or {}
    total, free = capacity.get("total"), capacity.get("available")
    if not total:
        return row(service, check, WARNING, "it has no workers; see the engine's log")
    return row(service, check, OK, f"the engine answers: {total} workers, {free} free")


def memcached_row(service: str, server: str, answer: bytes) -> Row:
    """Return the row of a memcached server from its answer to `version` (protocol.txt of memcached)."""
    if answer.startswith(b"VERSION "):
        return row(service, f"memcached {server}", OK, answer.decode("ascii", "replace").strip().lower())
    return row(service, f"memcached {server}", FAILED, "the server that answers is not memcached")
