# SPDX-License-Identifier: Apache-2.0
"""Tests of Qinling next to a Kolla cloud: it uses the cloud's services and changes nothing else."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kolla_cloud import PROJECT, VIP, Cloud, containers, run
from qinling_http import wait_for

ENDPOINT = f"http://{VIP}:30070"


def request(url: str, body: Any = None, **headers: str) -> tuple[int, Any, str]:
    """Send a request; return the status, JSON and token of the response."""
    data = None if body is None else json.dumps(body).encode()
    prepared = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(prepared, timeout=30) as response:
            return response.status, json.loads(response.read() or "null"), response.headers.get("X-Subject-Token", "")
    except urllib.error.HTTPError as error:
        return error.code, None, ""


def changed(shown: str) -> int:
    return sum(int(count) for count in re.findall(r"changed=(\d+)", shown))


@pytest.fixture(scope="module")
def before(cloud: Cloud) -> dict[str, tuple[str, str]]:
    return containers()


@pytest.fixture(scope="module")
def passwords(cloud: Cloud) -> bytes:
    return cloud.passwords.read_bytes()


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, before: dict[str, tuple[str, str]], passwords: bytes) -> Iterator[Cloud]:
    """Return the cloud with Qinling, deployed with the cloud's inventory and files."""
    cloud.play("passwords")
    cloud.play("deploy")
    yield cloud
    if containers("cloudq_"):
        cloud.play("destroy", "-e", "qinling_destroy_confirmed=yes")


@pytest.mark.parametrize("name", ["all-in-one", "multinode"])
def test_inventories_of_kolla_get_groups(kolla: Path, name: str) -> None:
    inventories = ["-i", str(kolla / "ansible/inventory" / name), "-i", "inventory/kolla/groups"]
    listed = json.loads(run("ansible-inventory", *inventories, "--list"))
    assert listed["qinling"]["children"] == ["control"]
    assert listed["qinling-api"]["children"] == listed["qinling-engine"]["children"] == ["qinling"]
    assert listed["control"]["hosts"]
    assert not [host for host in listed["_meta"]["hostvars"].values() if host.get("qinling_backing_services")]


def test_variables_of_similar_role_are_documented(kolla: Path) -> None:
    """The page lists every global variable that Kolla's role magnum and its dependencies use."""
    global_names: set[str] = set()
    for path in (kolla / "ansible/group_vars/all").glob("*.yml"):
        global_names |= set(yaml.safe_load(path.read_text()) or {})
    used: set[str] = set()
    for role in ("magnum", "haproxy-config", "proxysql-config", "loadbalancer-config"):
        for path in (kolla / "ansible/roles" / role).rglob("*.*"):
            used |= set(re.findall(r"\b[a-z]\w+", path.read_text()))
    page = set(re.findall(r"^\| `(\w+)`", (PROJECT / "docs/kolla-variables.md").read_text(), re.MULTILINE))
    of_magnum = re.compile("magnum|enable_(barbican|cinder)")
    assert {name for name in (used & global_names) - page if not of_magnum.search(name)} == set()


def test_api_answers_through_load_balancer(deployed: Cloud) -> None:
    given = yaml.safe_load(deployed.passwords.read_text())
    user = {"name": "admin", "password": given["keystone_admin_password"], "domain": {"id": "default"}}
    status, _body, token = request(
        f"http://{VIP}:30500/v3/auth/tokens",
        {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
            }
        },
    )
    assert status == 201
    assert request(f"{ENDPOINT}/v1/runtimes")[0] == 401
    assert request(f"{ENDPOINT}/v1/runtimes", **{"X-Auth-Token": token})[:2] == (200, {"runtimes": []})


def test_cloud_is_unchanged(deployed: Cloud, before: dict[str, tuple[str, str]], passwords: bytes) -> None:
    services = ("mariadb", "rabbitmq", "memcached", "keystone", "etcd", "haproxy")
    assert before.keys() >= {f"cloud_{name}" for name in services}
    assert containers() == before
    assert deployed.passwords.read_bytes() == passwords
    own = deployed.folder / "passwords-qinling.yml"
    assert set(yaml.safe_load(own.read_text())) == {"qinling_database_password", "qinling_keystone_password"}
    assert own.stat().st_mode & 0o777 == 0o600


def test_haproxy_configuration_matches_kolla(deployed: Cloud) -> None:
    """Kolla restarts the container if its files differ from those in config.json."""
    run("docker", "exec", "cloud_haproxy", "kolla_set_configs", "--check")


def test_containers_trust_ca_of_cloud(deployed: Cloud) -> None:
    body = (deployed.folder / "certificates/ca/root.crt").read_text().split("-----")[2].strip()
    for service in ("api", "engine"):
        assert body in run("docker", "exec", f"cloudq_qinling_{service}", "cat", "/etc/ssl/certs/ca-certificates.crt")


def test_queues_have_types_of_kolla(deployed: Cloud) -> None:
    listed = run("docker", "exec", "cloud_rabbitmq", "rabbitmqctl", "--quiet", "list_queues", "name", "type")
    kinds = {line.split("\t")[0]: line.split("\t")[1] for line in listed.splitlines() if "qinling" in line}
    assert kinds
    assert set(kinds.values()) <= {"quorum", "stream"}


def test_kolla_includes_log_entries(deployed: Cloud, tmp_path: Path) -> None:
    """Kolla's role cron renders the operator's file, which includes its templates."""
    role = tmp_path / "roles/cron"
    (role / "tasks").mkdir(parents=True)
    (role / "templates").symlink_to(deployed.kolla / "ansible/roles/cron/templates")
    source = deployed.folder / "config/cron/cron-logrotate-global.conf"
    task = {"ansible.builtin.template": {"src": str(source), "dest": str(tmp_path / "logrotate.conf"), "mode": "0600"}}
    (role / "tasks/main.yml").write_text(yaml.safe_dump([task]))
    variables = {"cron_logrotate_enabled_services": ["ansible", "nova", "neutron"]}
    defaults = str(deployed.kolla / "ansible/roles/cron/defaults/main.yml")
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [defaults], "vars": variables, "roles": ["cron"]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    run(
        "ansible-playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        f"ansible_python_interpreter={sys.executable}",
        str(tmp_path / "play.yml"),
    )
    rendered = (tmp_path / "logrotate.conf").read_text()
    assert (
        rendered.index("copytruncate")
        < rendered.index("/var/log/kolla/nova/*.log")
        < rendered.index("/var/log/kolla/qinling/*.log")
    )
    assert "/var/log/kolla/qinling/*.log" in (deployed.folder / "config/fluentd/input/qinling.conf").read_text()


def test_second_run_changes_nothing(deployed: Cloud) -> None:
    before = containers("cloudq_")
    assert changed(deployed.play("passwords")) == 0
    assert changed(deployed.play("reconfigure")) == 0
    assert containers("cloudq_") == before


def test_run_waits_for_load_balancer(deployed: Cloud) -> None:
    run("docker", "stop", "cloudq_qinling_api")
    wait_for("HAProxy without the API", lambda: request(f"{ENDPOINT}/v1/runtimes")[0] == 503, 60)
    deployed.play("reconfigure")
    assert request(f"{ENDPOINT}/v1/runtimes")[0] == 401


def test_development_mode_runs_checkout(deployed: Cloud) -> None:
    repository = deployed.folder / "repository"
    repository.mkdir()
    installed = "/var/lib/kolla/venv/lib/python3.13/site-packages/qinling"
    run("docker", "cp", f"cloudq_qinling_api:{installed}", str(repository))
    root = repository / "qinling/api/controllers/root.py"
    root.write_text(root.read_text().replace("status='CURRENT'", "status='DEPRECATED'"))
    git = ("git", "-C", str(repository), "-c", "user.name=test", "-c", "user.email=test@localhost")
    for arguments in (("init", "--quiet", "--initial-branch=mine"), ("add", "."), ("commit", "--quiet", "-m", "Mine")):
        run(*git, *arguments)
    settings = {
        "qinling_dev_mode": "yes",
        "qinling_git_repository": str(repository),
        "qinling_source_version": "mine",
        "kolla_dev_repos_directory": str(deployed.folder / "stack"),
    }
    assert request(ENDPOINT)[1]["versions"][0]["status"] == "CURRENT"
    deployed.play("reconfigure", "-e", json.dumps(settings))
    assert request(ENDPOINT)[1]["versions"][0]["status"] == "DEPRECATED"


def test_destroy_leaves_cloud_unchanged(deployed: Cloud, before: dict[str, tuple[str, str]]) -> None:
    deployed.play("destroy", "-e", "qinling_destroy_confirmed=yes")
    assert containers("cloudq_") == {}
    assert containers() == before
    assert request(f"http://{VIP}:30500/v3")[0] == 200
    with pytest.raises(urllib.error.URLError):
        request(f"{ENDPOINT}/v1/runtimes")
    run("docker", "exec", "cloud_haproxy", "kolla_set_configs", "--check")
