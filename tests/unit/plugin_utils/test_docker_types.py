# SPDX-License-Identifier: Apache-2.0
"""Types of variables about containers: Kolla's and Docker's notations are valid, everything else is reported."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._docker.container_spec import bytes_of
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import prechecks
from ansible_collections.qinling.kolla.plugins.plugin_utils._input.docker_types import is_size

DIGEST = "sha256:" + "0123456789abcdef" * 4
GOOD: dict[str, list[Any]] = {
    "image": [
        "kolla/qinling-api:2026.1-debian-trixie",
        "quay.io/openstack.kolla/debian-source-etcd:2026.1",
        "registry.example.org:5000/a/b__c-d.e:1",
        f"127.0.0.1:4000/a@{DIGEST}",
        f"a:1@{DIGEST}",
        "[fd00::1]:5000/a:1",
        "Registry.Example.org/a",
        "a",
    ],
    "repository": ["quay.io/openstack.kolla/qinling-api", "localhost:5000/a", "a"],
    "tag": ["2026.1-debian-trixie", 2026.1, "latest", "a" * 128],
    "volume": [
        "kolla_logs:/var/log/kolla/",
        "/etc/localtime:/etc/localtime:ro",
        "/run/netns:/run/netns:shared",
        "/:/host:ro,rslave",
        "/a:/a:z,ro",
        "/dev:/dev",
        "/etc/kolla/qinling-api/:/var/lib/kolla/config_files/:ro",
    ],
    "volumes": [[], ["kolla_logs:/var/log/kolla/", ""]],
    "size": [
        134217728,
        "134217728",
        "128m",
        "128M",
        "1.5G",
        "2 GB",
        "0",
        0,
        "512mb",
        "1gb",
        "10kb",
        "1Mb",
        "2tB",
        "100b",
        "1 megabyte",
    ],
    "swap": [-1, "-1", "unlimited", "2g", "2gb"],
    "duration": [30, "30", "30s", "1m30s", "500ms", "1h", 0],
    "constraint": [
        "node.labels.functions==yes",
        "node.role != manager",
        "engine.labels.zone==a b",
        "node.hostname==c1",
    ],
    "dimensions": [
        {},
        {"ulimits": {"nofile": {"soft": 1048576, "hard": 1048576}}},
        {"ulimits": {"nofile": {"soft": "1024", "hard": -1}, "nproc": 100}},
        {"ulimits": ["nofile:1024:2048", "core:0"], "cpuset_cpus": "0-2,4", "cpuset_mems": 0},
        {"mem_limit": 536870912, "mem_reservation": "256m", "memswap_limit": -1, "kernel_memory": "64M"},
        {"cpu_period": "100000", "cpu_quota": 50000, "cpu_shares": 512, "blkio_weight": 500},
        {"mem_limit": 0, "cpuset_cpus": ""},
    ],
    "healthcheck": [
        {
            "interval": "30",
            "retries": "3",
            "start_period": "5",
            "timeout": "30",
            "test": ["CMD-SHELL", "healthcheck_curl"],
        },
        {"interval": 30, "retries": 3, "start_period": 5, "timeout": 30, "test": ["CMD", "qinling-healthcheck", "api"]},
        {"interval": "1m", "test": "healthcheck_port qinling 5672"},
        {"interval": 30, "retries": 3, "start_period": 5, "timeout": 30, "test": "NONE"},
        {"test": ["NONE"]},
    ],
    "environment": [{}, {"http_proxy": "http://u:p@proxy:3128", "NO_PROXY": "", "_X1": 5, "no.proxy": "a"}],
}
BAD: dict[str, list[tuple[Any, str]]] = {
    "image": [
        (
            "Not A Valid/Image:@",
            "expected an image ([registry[:port]/]name[:tag][@digest], the name in lower case), got",
        ),
        ("kolla/Qinling", "expected an image"),
        ("http://registry/a:1", "expected an image"),
        ("a:", "expected an image"),
        ("a@sha256:12", "expected an image"),
        ("a:b:c", "expected an image"),
        ("a/", "expected an image"),
        (["a"], "expected an image"),
    ],
    "repository": [("a:1", "expected an image without tag"), (f"a@{DIGEST}", "expected an image without tag")],
    "tag": [
        ("-a", "expected a tag"),
        ("a b", "expected a tag"),
        ("a" * 129, "expected a tag"),
        (True, "expected a tag"),
    ],
    "volume": [
        ("relative/path:/x", "expected source:target or source:target:mode"),
        ("./a:/x", "expected source:target"),
        ("~/a:/x", "expected source:target"),
        ("/nowhere:/x:rx", "expected source:target"),
        ("/a", "expected source:target"),
        ("/a:x", "expected source:target"),
        ("/a:/", "expected source:target"),
        ("/a:/b:ro:ro", "expected source:target"),
        ("a:/b", "expected source:target"),
        (":/b", "expected source:target"),
        ({"/a": "/b"}, "expected source:target"),
    ],
    "volumes": [
        ("a:/b", "expected a list, got the string"),
        (["kolla_logs:/a", "/a"], "element 2: expected source:target"),
    ],
    "size": [
        ("lots", "expected a size"),
        ("-1", "expected a size"),
        (
            "128mib",
            "expected a size in bytes, or with a unit such as 512M or 2G (b, k, m, g or t, in either case), got",
        ),
        ("128bm", "expected a size"),
        ("mb", "expected a size"),
        ("1,5g", "expected a size"),
        (True, "expected a size"),
    ],
    "swap": [("-2", "expected a size"), ("none", "expected a size")],
    "duration": [
        ("5 parsecs", "expected seconds, or"),
        ("-5", "expected seconds"),
        ("", "is empty"),
        ("1d", "expected"),
    ],
    "constraint": [
        ("node.labels", "expected key==value or key!=value with a key of Swarm"),
        ("node.labels.a=yes", "expected key==value"),
        ("node.labels.a==", "expected key==value"),
        ("node.label.a==b", "expected key==value"),
        ("node.role==a,node.ip==b", "expected key==value"),
    ],
    "dimensions": [
        ("1G", "expected a mapping"),
        ({"memlimit": "1G"}, "unknown keys: memlimit; expected blkio_weight, cpu_period"),
        ({"mem_limit": "lots"}, "mem_limit expected a size in bytes, or with a unit such as 512M or 2G"),
        ({"cpu_shares": "many"}, "cpu_shares expected an integer"),
        ({"blkio_weight": 1001}, "blkio_weight expected an integer, at least 0 and at most 1000"),
        ({"cpuset_cpus": "all"}, "cpuset_cpus expected numbers of CPUs"),
        ({"ulimits": {"nofiles": 1}}, "ulimits expected a mapping such as {nofile:"),
        ({"ulimits": {"nofile": {"soft": 1}}}, "ulimits expected a mapping"),
        ({"ulimits": {"nofile": {"soft": 1, "hard": "lots"}}}, "ulimits expected a mapping"),
        ({"ulimits": ["nofile"]}, "ulimits expected a mapping"),
        ({"ulimits": 5}, "ulimits expected a mapping"),
    ],
    "healthcheck": [
        ({"test": []}, "test is empty; expected a command"),
        ({"test": ""}, "test is empty; expected a command"),
        ({"interval": "30s"}, "test is missing; expected a command"),
        ({"test": ["curl", "x"]}, "test expected a command as [CMD, …]"),
        ({"test": ["CMD-SHELL", "a", "b"]}, "test expected a command"),
        ({"test": ["CMD", ""]}, "test expected a command"),
        ({"test": ["NONE", "x"]}, 'test expected a command as [CMD, …] or [CMD-SHELL, "…"], or NONE for no'),
        ({"test": ["CMD"]}, "test expected a command"),
        ({"test": 5}, "test expected a command"),
        ({"test": "x", "retries": 0}, "retries expected an integer, at least 1"),
        ({"test": "x", "intervall": 5}, "unknown keys: intervall"),
    ],
    "environment": [
        ({"a b": "x"}, "key expected a variable's name"),
        ({"A": [1]}, "A expected a string, a number, or a quoted boolean, got the list [1]"),
        ({"A": True}, "A expected a string, a number"),
        (["A=b"], "expected a mapping"),
    ],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in GOOD.items() for value in values])
def test_good_values(kind: str, value: Any) -> None:
    assert prechecks.variable_findings({"x": {"type": kind, "empty": True}}, {"x": value}) == []


@pytest.mark.parametrize(("kind", "value", "words"), [(kind, *case) for kind, cases in BAD.items() for case in cases])
def test_bad_values(kind: str, value: Any, words: str) -> None:
    (finding,) = prechecks.variable_findings({"x": kind}, {"x": value})
    assert words in finding.message


UNITS = ["", *"bkmgtpezyBKMGTPEZYxci", "kb", "Kb", "kB", "KB", "mb", "Gb", "tB", "EB", "bb", "BB", "MM", "mib", "KiB"]
UNITS += ["byte", "Byte", "kilobyte", "MEGABYTE", "gigabyte", "bytes", "kilobit", "megabytes"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("number", ["1", "0", "1.5", ".5", "1.", "-1", "1 ", "", "1e3", "1_0", "٣"])
def test_valid_sizes_can_be_converted(number: str, unit: str) -> None:
    if is_size(number + unit):
        assert bytes_of(number + unit) >= 0


def test_each_problem_of_a_mapping_is_reported() -> None:
    value = {"a b": [1], "interval": "5 parsecs", "test": [], "mem_limit": "lots"}
    found = prechecks.variable_findings({"x": "environment", "y": "healthcheck"}, {"x": {"a b": [1]}, "y": value})
    assert [(finding.where, finding.message.split()[0]) for finding in found] == [
        ("x", "key"),
        ("x", "a"),
        ("y", "test"),
        ("y", "interval"),
        ("y", "unknown"),
    ]


def test_secret_in_environment_is_not_shown() -> None:
    (finding,) = prechecks.variable_findings({"x": "environment"}, {"x": {"DB_PASSWORD": ["hunter2"]}})
    assert "hunter2" not in str(finding)
