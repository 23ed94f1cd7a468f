# SPDX-License-Identifier: Apache-2.0
"""What a change of the operator's touches, and that --check foretells it: the same tasks, the same containers.

One walk through a day's changes, since every run of a playbook takes its time: each test goes on where the one before
it ended, and the last puts everything back.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from deployment import Deployment, changed_tasks, run

API_CONF = "[api]\napi_threads = 6\ngraceful_timeout = 4\n\n[cors]\nallowed_origin = http://localhost\n"
# The same, said otherwise.
API_CONF_AGAIN = """\
# why we have this
[cors]
allowed_origin: http://localhost
[api]
; {{ inventory_hostname }}
graceful_timeout=4
{% if true %}
api_threads = 6
{% endif %}
"""
# Variables of which one service alone reads the options.
API_VARIABLE = ("-e", "qinling_default_cpu=150")
ENGINE_VARIABLE = ("-e", "qinling_function_service_expiration=3000")


@pytest.fixture(scope="module", autouse=True)
def only_swarm(deployment: Deployment) -> None:
    """Skip where there is Kubernetes: what is shown here has nothing to do with it, and takes its time."""
    if deployment.kubernetes:
        pytest.skip("shown on Docker Swarm")


@pytest.fixture(scope="module")
def overrides(deployment: Deployment) -> Iterator[Path]:
    """The operator's folder of overrides for Qinling, as it was before when the tests are over."""
    folder = deployment.directory / "config" / "qinling"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder.with_name("qinling.kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


def test_options_and_policy_of_the_api_restart_the_api(deployment: Deployment, overrides: Path) -> None:
    (overrides / "qinling-api.conf").write_text(API_CONF)
    (overrides / "policy.json").write_text('{"runtime:create": "rule:admin_or_owner"}')
    done = deployment.reconfigure(*API_VARIABLE)
    assert done.made_anew == ["qinling_api"]
    assert "+api_threads = 6" in done.shown
    policy = yaml.safe_load(deployment.inside("qinling_api", "cat", "/etc/qinling/policy.yaml"))
    assert policy["runtime:create"] == "rule:admin_or_owner"
    # A partial policy locks nobody out: the rules that it does not name are still there.
    assert policy["runtime:delete"] == "rule:context_is_admin"


def test_order_and_comments_restart_nothing_and_the_engines_options_the_engine(
    deployment: Deployment, overrides: Path
) -> None:
    (overrides / "qinling-api.conf").write_text(API_CONF_AGAIN)
    (overrides / "qinling-engine.conf").write_text("[engine]\nfunction_concurrency = 2\n")
    # The same image by another name.
    image = deployment.inspect("qinling_engine")["Config"]["Image"]
    run("docker", "tag", image, image.rpartition(":")[0] + ":reconfigured")
    done = deployment.reconfigure(*API_VARIABLE, *ENGINE_VARIABLE, "-e", "qinling_engine_tag=reconfigured")
    assert done.made_anew == ["qinling_engine"]
    assert deployment.inspect("qinling_engine")["Config"]["Image"].endswith(":reconfigured")
    written = done.shown.partition("Config | Write the configuration of qinling")[2].partition("TASK")[0]
    assert "qinling-engine" in written
    assert "qinling-api" not in written


def test_where_tells_the_file_that_counts(deployment: Deployment, overrides: Path) -> None:
    shown = " ".join(deployment.play("where", "-e", "option=api.api_threads").split())
    assert f"api_threads = 6 set in {overrides}/qinling-api.conf:8 instead of api_threads" in shown
    assert "qinling.conf.j2:" in shown


def test_removed_overrides_and_an_image_of_before_restart_both(deployment: Deployment, overrides: Path) -> None:
    image = deployment.inspect("qinling_engine")["Config"]["Image"]
    for name in ("qinling-api.conf", "qinling-engine.conf", "policy.json"):
        (overrides / name).unlink()
    done = deployment.reconfigure()
    assert done.made_anew == ["qinling_api", "qinling_engine"]
    run("docker", "rmi", image)


def test_where_nothing_changed_nothing_is_foretold(deployment: Deployment) -> None:
    assert changed_tasks(deployment.play("reconfigure", "--check", "--diff")) == []


def test_options_nobody_knows_are_named_before_anything_changes(deployment: Deployment, overrides: Path) -> None:
    before = deployment.ids()
    (overrides / "qinling-api.conf").write_text("[api]\n\napi_treads = 6\n")
    (overrides / "qinling-engine.conf").write_text("[engine]\nfunction_concurrency = many\n")
    with pytest.raises(AssertionError) as caught:
        deployment.play("reconfigure")
    shown = " ".join(str(caught.value).split())
    assert f"{overrides}/qinling-api.conf:3: [api] api_treads" in shown
    assert "did you mean [api] api_threads?" in shown
    assert f"{overrides}/qinling-engine.conf:2: [engine] function_concurrency: the value is not valid" in shown
    assert deployment.ids() == before
