# SPDX-License-Identifier: Apache-2.0
"""All timeouts of a synchronous execution exceed the maximum timeout of functions."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import pytest
import yaml

QINLING = Path(__file__).resolve().parents[2] / "roles/qinling"
PACKAGE = QINLING.parent / "image/files/qinling_kolla/src/qinling_kolla"
# Sections of the gateway's configuration without executions.
SHORT = {"defaults", "backend health"}


def number(file: str, pattern: str) -> int:
    """Return the number that a pattern matches in a file of Qinling's package."""
    found = re.search(pattern, (PACKAGE / file).read_text())
    assert found, pattern
    return int(found[1])


def timeouts(limit: int) -> dict[str, list[int]]:
    """Return the timeouts of client and server in seconds, by section of the gateway's configuration."""
    environment = jinja2.Environment(trim_blocks=True)
    default = yaml.safe_load((QINLING / "defaults/main.yml").read_text())["qinling_haproxy_timeout"]
    seconds = environment.from_string(default).render(qinling_max_timeout=limit)
    template = environment.from_string((QINLING / "templates/qinling-gateway.cfg.j2").read_text())
    found: dict[str, list[int]] = {}
    section = ""
    for line in template.render(qinling_gateway_port=7071, qinling_haproxy_timeout=seconds).splitlines():
        if line and line[0].isalpha():
            section = line
        elif wait := re.match(r"\s+(?:timeout (?:client|server)|hard-stop-after) (\d+)s", line):
            found.setdefault(section, []).append(int(wait[1]))
    return found


@pytest.mark.parametrize("limit", [300, 3600])
def test_gateway_timeouts_cover_worker_package_and_function(limit: int) -> None:
    waiting = number("reclaim.py", r"WAIT_SECONDS = (\d+)")
    margin = number("config.py", r'"worker_read_margin",\s+default=(\d+)')
    found = {section: seconds for section, seconds in timeouts(limit).items() if section not in SHORT}
    assert set(found) == {"global", "frontend functions", "backend api", "frontend engine", "backend workers"}
    assert all(second > waiting + limit + margin for seconds in found.values() for second in seconds), found
