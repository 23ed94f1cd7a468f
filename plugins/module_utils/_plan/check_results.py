# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What a look at a running service says: each answer becomes a row of service, look, verdict and detail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

OK, WARNING, WRONG = "ok", "warning", "WRONG"
_DETAIL_LIMIT = 300
# What `timeout` of coreutils ends with when it had to end the command.
_TIMED_OUT = 124

Row = dict[str, str]


def row(service: str, look: str, verdict: str, detail: str) -> Row:
    """Takes the parts of a row, returns it; the detail becomes one line of a bearable length."""
    words = " ".join(detail.split())
    if len(words) > _DETAIL_LIMIT:
        words = words[: _DETAIL_LIMIT - 1] + "…"
    return {"service": service, "look": look, "verdict": verdict, "detail": words}


def container_row(look: Mapping[str, Any], state: Mapping[str, Any] | None) -> Row:
    """Takes a look (`service`, `container`, `image`) and what Docker tells of the container, none if there is none."""
    service, name = look["service"], look["container"]
    if state is None:
        return row(service, "container", WRONG, f"{name} is not there; run deploy")
    status = state["State"]["Status"]
    if status != "running":
        code = state["State"].get("ExitCode")
        return row(service, "container", WRONG, f"{name} is {status} (exit code {code}); see docker logs {name}")
    health = state["State"].get("Health") or {}
    said = (health.get("Log") or [{}])[-1].get("Output", "").strip()
    if health.get("Status") == "unhealthy":
        return row(service, "container", WRONG, f"{name} runs, but is not healthy: {said or 'it said nothing'}")
    if health.get("Status") == "starting":
        return row(service, "container", WARNING, f"{name} started a moment ago, its health is not known yet")
    if look.get("image") and state["Config"]["Image"] != look["image"]:
        detail = f"{name} runs image {state['Config']['Image']}, the settings say {look['image']}; run upgrade"
        return row(service, "container", WARNING, detail)
    restarts = state.get("RestartCount", 0)
    again = f", was started again {restarts} times" if restarts else ""
    healthy = ", is healthy" if health.get("Status") == "healthy" else ""
    return row(service, "container", OK, f"{name} runs{healthy}{again}")


def exec_problem(error: str) -> str:
    """Takes what `docker exec` wrote to stderr, returns why the command was not even started, or nothing."""
    if "is not running" in error or "No such container" in error:
        return "not looked at: the container does not run"
    return "not looked at: the container starts again and again" if "is restarting" in error else ""


def health_rows(look: Mapping[str, Any], answer: str, error: str) -> list[Row]:
    """Takes a look (`service`, `names`), and what the service's health address answered or why it did not.

    `names` maps the checks of the report to what they are called in the table; the one that is missing was not looked
    at. The answer is HTTP's, the report in it that of `qinling_kolla.health`.
    """
    service, names = look["service"], look["names"]
    try:
        checks = json.loads(answer.replace("\r\n", "\n").partition("\n\n")[2])["checks"]
        found = {str(name): None if check["status"] == "ok" else str(check["reason"]) for name, check in checks.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return [row(service, "health", WRONG, error or "the answer is not a health report")]
    rows = []
    for name, title in {**{name: name for name in found}, **names}.items():
        if name not in found:
            rows.append(row(service, title, WRONG, "not looked at: the service has not started so far"))
        elif found[name]:
            rows.append(row(service, title, WRONG, str(found[name])))
        else:
            rows.append(row(service, title, OK, "answers"))
    return rows


def command_row(look: Mapping[str, Any], code: int, output: str, error: str) -> Row:
    """Takes a look (`service`, `look`, `seconds`), and a command's exit code, output and errors, returns its row.

    The detail is the first line, without the command's own name, which says nothing to a reader of the table.
    """
    problem = exec_problem(error) if code else ""
    if problem:
        return row(look["service"], look["look"], WRONG, problem)
    output = output if output.strip() else error
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = lines[0].split(": ", 1)[-1] if lines else f"exit code {code}"
    if code == _TIMED_OUT:
        said = f"no answer within {look['seconds']} s"
    return row(look["service"], look["look"], OK if code == 0 else WRONG, said)


def catalog_problem(
    catalog: Iterable[Mapping[str, Any]], service_type: str, region: str, interface: str, url: str
) -> str:
    """Takes a token's catalog and an endpoint that shall be in it, returns what is wrong, or nothing."""
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
        return f"Keystone's catalog says {', '.join(urls)}; run deploy"
    return ""


def pool_row(service: str, runtime: Mapping[str, Any], pool: Any) -> Row:
    """Takes a runtime and its pool as Qinling's API answers, returns its row: the engine was asked, and answered."""
    look = f"runtime {runtime.get('name') or runtime['id']}"
    if runtime.get("status") != "available":
        return row(service, look, WARNING, f"its status is {runtime.get('status')}; see the engine's log")
    capacity = (pool or {}).get("capacity") or {}
    total, free = capacity.get("total"), capacity.get("available")
    if not total:
        return row(service, look, WARNING, "it has no workers; see the engine's log")
    return row(service, look, OK, f"the engine answers: {total} workers, {free} of them free")


def memcached_row(service: str, server: str, answer: bytes) -> Row:
    """Takes a server and what it answered to `version` (memcached's protocol.txt), returns its row."""
    if answer.startswith(b"VERSION "):
        return row(service, f"memcached {server}", OK, answer.decode("ascii", "replace").strip().lower())
    return row(service, f"memcached {server}", WRONG, "something answers there, but it is not memcached")
