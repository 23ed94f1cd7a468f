# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Types of variables about containers: images, volumes, limits, health checks, environment, placement.

`TYPES` and `SHAPES` extend the types of `prechecks.variable_findings`. Values may have Kolla's notation (sizes and
durations may be plain numbers, ulimits are a mapping) or Docker's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_digest import is_disabled

_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY = r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REPOSITORY = f"{_REGISTRY}{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]+"

_VOLUME_MODES = frozenset(
    {"ro", "rw", "z", "Z", "nocopy"}
    | {"consistent", "cached", "delegated"}
    | {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
)
# The sizes that human_to_bytes of ansible-core accepts, and Kolla's, such as 512mb (container_spec.bytes_of).
_SIZE = re.compile(
    r"[0-9]*\.?[0-9]+\s*(?:[bkmgtpezy]|[kmgtpezy]b|(?:kilo|mega|giga|tera|peta|exa|zeta|yotta)?byte)?\s*",
    re.ASCII | re.IGNORECASE,
)
# Plain numbers are seconds, as in Kolla; the units are those of container_spec.nanoseconds_of.
_DURATION = re.compile(r"[0-9]+|(?=[0-9])(?:[0-9]+h)?(?:[0-9]+m(?!s))?(?:[0-9]+s)?(?:[0-9]+ms)?(?:[0-9]+us)?")
_CONSTRAINT = re.compile(
    r"\s*(?:node\.(?:id|hostname|ip|role|platform\.(?:os|arch)|labels\.[\w.-]+)|engine\.labels\.[\w.-]+)"
    r"\s*(?:==|!=)\s*(?=\S)[\w:\s.*()?+\[\]\\^$|/-]+",
    re.ASCII | re.IGNORECASE,
)
# The names in go-units, which Docker uses (https://pkg.go.dev/github.com/docker/go-units).
_ULIMITS = frozenset(
    {"core", "data", "fsize", "memlock", "rss", "stack"}
    | {"cpu", "nice", "rtprio", "rttime"}
    | {"locks", "msgqueue", "nofile", "nproc", "sigpending"}
)
_ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"


def matches(pattern: str | re.Pattern[str]) -> Callable[[Any], bool]:
    """Return a predicate that checks whether a whole string or number matches a pattern."""
    compiled = re.compile(pattern)
    return lambda value: _is_scalar(value) and bool(compiled.fullmatch(str(value)))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def is_volume(value: Any) -> bool:
    """Return whether a value is source:target or source:target:mode, from a volume's name or an absolute path."""
    parts = value.split(":") if isinstance(value, str) else []
    if not 2 <= len(parts) <= 3:
        return False
    source, target, *modes = parts
    if not source.startswith("/") and not re.fullmatch(_NAME, source):
        return False
    # Docker refuses to mount over the root.
    if not target.startswith("/") or not target.strip("/"):
        return False
    return all(mode in _VOLUME_MODES for text in modes for mode in text.split(","))


def is_swap(value: Any) -> bool:
    """Return whether a value is a size, or -1 or unlimited for unlimited swap."""
    return is_size(value) or (_is_scalar(value) and str(value) in {"-1", "unlimited"})


is_size = matches(_SIZE)


def _is_limit(value: Any) -> bool:
    return _is_scalar(value) and bool(re.fullmatch(r"-1|[0-9]+", str(value)))


def is_ulimits(value: Any) -> bool:
    """Return whether a value is Kolla's mapping of names to soft and hard limits, or Docker's list name:soft:hard."""
    if isinstance(value, Mapping):
        return all(name in _ULIMITS and _is_ulimit(limit) for name, limit in value.items())
    return isinstance(value, list | tuple) and all(
        isinstance(item, str)
        and item.split(":")[0] in _ULIMITS
        and 2 <= len(item.split(":")) <= 3
        and all(map(_is_limit, item.split(":")[1:]))
        for item in value
    )


def _is_ulimit(limit: Any) -> bool:
    if not isinstance(limit, Mapping):
        return _is_limit(limit)
    return set(limit) == {"soft", "hard"} and all(map(_is_limit, limit.values()))


def is_test(value: Any) -> bool:
    """Return whether a value is the test of a health check: a shell command, Docker's list, or NONE."""
    if is_disabled(value):
        return True
    if isinstance(value, str):
        return bool(value.strip())
    if not isinstance(value, list | tuple) or len(value) < 2 or not all(isinstance(word, str) for word in value):
        return False
    return bool(value[1].strip()) and (value[0] == "CMD" or (value[0] == "CMD-SHELL" and len(value) == 2))


# By name of the type: its description in messages, and the predicate for its values.
TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "image": (
        "an image ([registry[:port]/]name[:tag][@digest], the name in lower case)",
        matches(f"{_REPOSITORY}(?::{_TAG})?(?:@{_DIGEST})?"),
    ),
    "repository": ("an image without tag ([registry[:port]/]name, the name in lower case)", matches(_REPOSITORY)),
    "tag": ("a tag of letters, digits, dots and dashes", matches(_TAG)),
    "docker_name": ('a name of letters, digits, "_", "." and "-"', matches(_NAME)),
    "volume": (
        "source:target or source:target:mode (source: a volume's name or an absolute path; target: an absolute path; "
        "mode: one of Docker's, such as ro, z or shared)",
        is_volume,
    ),
    "size": ("a size in bytes, or with a unit such as 512M or 2G (b, k, m, g or t, in either case)", is_size),
    "swap": ("a size in bytes, or with a unit such as 2G, or -1 for no limit", is_swap),
    "duration": ("seconds, or a duration such as 30s or 1m30s", matches(_DURATION)),
    "constraint": (
        "key==value or key!=value with a key of Swarm (node.hostname, node.role, node.labels.<label>, …)",
        matches(_CONSTRAINT),
    ),
    "cpus": ("numbers of CPUs such as 0-2,4", matches(r"[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*")),
    # An unquoted boolean has more than one spelling.
    "variable_value": ("a string, a number, or a quoted boolean", _is_scalar),
    "ulimits": (
        "a mapping such as {nofile: {soft: 1024, hard: 4096}}; the keys are "
        f"{', '.join(sorted(_ULIMITS))}, and -1 is no limit",
        is_ulimits,
    ),
    "healthcheck_test": (
        'a command as [CMD, …] or [CMD-SHELL, "…"], or NONE for no health check',
        is_test,
    ),
}
# By name of a list or mapping type: its expectation.
SHAPES: dict[str, dict[str, Any]] = {
    # Conditions in Kolla's lists leave empty elements, which are skipped.
    "volumes": {"type": "list", "elements": {"type": "volume", "empty": True}},
    # Kolla's dimensions: the keys that its module kolla_container accepts.
    "dimensions": {
        "type": "dict",
        "options": {
            "blkio_weight": {"type": "int", "required": False, "min": 0, "max": 1000},
            "cpu_period": {"type": "int", "required": False, "min": 0, "max": 1000000},
            "cpu_quota": {"type": "int", "required": False, "min": -1},
            "cpu_shares": {"type": "int", "required": False, "min": 0},
            "cpuset_cpus": {"type": "cpus", "required": False, "empty": True},
            "cpuset_mems": {"type": "cpus", "required": False, "empty": True},
            "kernel_memory": {"type": "size", "required": False},
            "mem_limit": {"type": "size", "required": False},
            "mem_reservation": {"type": "size", "required": False},
            "memswap_limit": {"type": "swap", "required": False},
            "ulimits": {"type": "ulimits", "required": False, "empty": True},
        },
    },
    "healthcheck": {
        "type": "dict",
        "options": {
            "test": {"type": "healthcheck_test"},
            "interval": {"type": "duration", "required": False},
            "timeout": {"type": "duration", "required": False},
            "retries": {"type": "int", "required": False, "min": 1},
            "start_period": {"type": "duration", "required": False},
        },
    },
    "environment": {
        "type": "dict",
        "keys": {"type": "text", "pattern": _ENVIRONMENT_NAME, "called": "a variable's name (letters, digits, _)"},
        "values": {"type": "variable_value", "empty": True},
    },
}
