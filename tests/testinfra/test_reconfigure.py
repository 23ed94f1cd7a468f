# SPDX-License-Identifier: Apache-2.0
"""Tests that a change recreates only the affected containers, and that --check reports the same changes.

Each test continues with the state of the previous one, because runs of playbooks are slow; the last one restores the
original state.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from deployment import Deployment, changed_tasks, run

API_CONF = "[api]\napi_threads = 6\ngraceful_timeout = 4\n\n[cors]\nallowed_origin = http://localhost\n"
# The same options, written differently.
API_CONF_EQUIVALENT = """\
# an explanation
[cors]
allowed_origin: http://localhost
[api]
; {{ inventory_hostname }}
graceful_timeout=4
{% if true %}
api_threads = 6
{% endif %}
"""
# Variables that affect one service each.
API_VARIABLE = ("-e", "qinling_default_cpu=150")
ENGINE_VARIABLE = ("-e", "qinling_function_service_expiration=3000")


@pytest.fixture(scope="module", autouse=True)
def only_swarm(deployment: Deployment) -> None:
    """Skip the tests with Kubernetes, which makes no difference for them."""
    if deployment.kubernetes:
        pytest.skip("tested on Docker Swarm")


@pytest.fixture(scope="module")
def overrides(deployment: Deployment) -> Iterator[Path]:
    """Return the directory of overrides for Qinling, and restore it at the end."""
    folder = deployment.directory / "config" / "qinling"
    folder.mkdir(parents=True, exist_ok=True)
    backup = folder.with_name("qinling.backup")
    shutil.copytree(folder, backup)
    yield folder
    shutil.rmtree(folder)
    backup.rename(folder)


def test_options_and_policy_of_api_recreate_api(deployment: Deployment, overrides: Path) -> None:
    (overrides / "qinling-api.conf").write_text(API_CONF)
    (overrides / "policy.json").write_text('{"runtime:create": "rule:admin_or_owner"}')
    done = deployment.reconfigure(*API_VARIABLE)
    assert done.recreated == ["qinling_api"]
    assert "+api_threads = 6" in done.shown
    policy = yaml.safe_load(deployment.inside("qinling_api", "cat", "/etc/qinling/policy.yaml"))
    assert policy["runtime:create"] == "rule:admin_or_owner"
    # Rules that a partial policy does not contain keep their defaults.
    assert policy["runtime:delete"] == "rule:context_is_admin"


def test_order_and_comments_are_ignored_and_engine_options_recreate_engine(
    deployment: Deployment, overrides: Path
) -> None:
    (overrides / "qinling-api.conf").write_text(API_CONF_EQUIVALENT)
    (overrides / "qinling-engine.conf").write_text("[engine]\nfunction_concurrency = 2\n")
    # The same image with another tag.
    image = deployment.inspect("qinling_engine")["Config"]["Image"]
    run("docker", "tag", image, image.rpartition(":")[0] + ":reconfigured")
    done = deployment.reconfigure(*API_VARIABLE, *ENGINE_VARIABLE, "-e", "qinling_engine_tag=reconfigured")
    assert done.recreated == ["qinling_engine"]
    assert deployment.inspect("qinling_engine")["Config"]["Image"].endswith(":reconfigured")
    written = done.shown.partition("Config | Write the configuration of qinling")[2].partition("TASK")[0]
    assert "qinling-engine" in written
    assert "qinling-api" not in written


def test_where_reports_effective_file(deployment: Deployment, overrides: Path) -> None:
    shown = " ".join(deployment.play("where", "-e", "option=api.api_threads").split())
    assert f"api_threads = 6 set in {overrides}/qinling-api.conf:8 instead of api_threads" in shown
    assert "qinling.conf.j2:" in shown


def test_removed_overrides_recreate_both(deployment: Deployment, overrides: Path) -> None:
    image = deployment.inspect("qinling_engine")["Config"]["Image"]
    for name in ("qinling-api.conf", "qinling-engine.conf", "policy.json"):
        (overrides / name).unlink()
    done = deployment.reconfigure()
    assert done.recreated == ["qinling_api", "qinling_engine"]
    run("docker", "rmi", image)


def test_check_mode_without_changes_reports_nothing(deployment: Deployment) -> None:
    assert changed_tasks(deployment.play("reconfigure", "--check", "--diff")) == []


def test_invalid_options_are_reported_before_changes(deployment: Deployment, overrides: Path) -> None:
    before = deployment.ids()
    (overrides / "qinling-api.conf").write_text("[api]\n\napi_treads = 6\n")
    (overrides / "qinling-engine.conf").write_text("[engine]\nfunction_concurrency = many\n")
    with pytest.raises(AssertionError) as caught:
        deployment.play("reconfigure")
    shown = " ".join(str(caught.value).split())
    assert f"{overrides}/qinling-api.conf:3: [api] api_treads" in shown
    assert "did you mean [api] api_threads?" in shown
    assert f"{overrides}/qinling-engine.conf:2: [engine] function_concurrency: invalid value" in shown
    assert deployment.ids() == before
