# SPDX-License-Identifier: Apache-2.0
"""Tests of permissions with the deployed policy, after its change, and after its removal.

The API checks permissions before it validates requests, so invalid requests show them: the status is 403 without
permission, and 400 or 404 otherwise. The tests depend on their order.
"""

from __future__ import annotations

import importlib.util
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import openstack
import pytest
import yaml
from deployment import Deployment
from qinling_http import Qinling
from watch import PLAYS, Watch

NOBODY = "00000000-0000-4000-8000-000000000000"
# A request for each rule under test.
CALLS = {
    "runtime:create": ("POST", "runtimes"),
    "runtime:delete": ("DELETE", f"runtimes/{NOBODY}"),
    "function:get": ("GET", f"functions/{NOBODY}"),
    "function:get_all:all_projects": ("GET", "functions?all_projects=true"),
    "function_version:get": ("GET", f"functions/{NOBODY}/versions/1"),
}
DEFAULT = {"function:get", "function_version:get"}

# Runs in the API's container: prints the enforced and defined rules, and whether oslo.policy parses checks.
INSPECT = """
import ast, json, logging, pathlib, sys
import qinling
from oslo_policy import _checks, _parser, policy
from oslo_config import cfg
enforced = set()
for path in pathlib.Path(qinling.__file__).parent.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "enforce" and "tests" not in path.parts:
            enforced |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
class Errors(logging.Handler):
    def emit(self, record):
        self.level_seen = max(getattr(self, "level_seen", 0), record.levelno)
def parsed(check):
    errors = Errors()
    logging.getLogger("oslo_policy").addHandler(errors)
    _parser.parse_rule(check)
    logging.getLogger("oslo_policy").removeHandler(errors)
    return getattr(errors, "level_seen", 0) < logging.ERROR
checks = json.load(sys.stdin)
enforcer = policy.Enforcer(cfg.ConfigOpts(), policy_file="/etc/qinling/policy.yaml")
enforcer.conf([])
enforcer.load_rules()
print(json.dumps({
    "enforced": sorted(enforced),
    "rules": {name: str(check) for name, check in enforcer.rules.items()},
    "valid": enforcer.check_rules(),
    "parsed": {check: parsed(check) for check in checks},
}))
"""


def in_api(deployment: Deployment, checks: list[str]) -> dict[str, Any]:
    """Return the output of INSPECT in the API's container for checks."""
    command = ["docker", "exec", "-i", f"{deployment.prefix}qinling_api", "python", "-c", INSPECT]
    done = subprocess.run(command, input=json.dumps(checks), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="session")
def administrator(deployment: Deployment, watch: Watch) -> Qinling:
    """Return a client of the cloud's administrator."""
    return Qinling(deployment.directory / "clouds.yaml")


@pytest.fixture(scope="session")
def member(deployment: Deployment, watch: Watch) -> Iterator[Qinling]:
    """Return a client of a user whose only role is member of a project."""
    clouds = deployment.directory / "clouds.yaml"
    auth = yaml.safe_load(clouds.read_text())["clouds"]["qinling"]["auth"]
    with openstack.connect(auth=auth, load_yaml_config=False, load_envvars=False) as cloud:
        identity = cloud.identity
        # Not a new password for the user of a previous run, which would revoke tokens of the same second.
        for found in (identity.find_user("policy"), identity.find_project("policy")):
            if found:
                found.delete(identity)
        password = secrets.token_hex(16)
        project = identity.create_project(name="policy", domain_id="default")
        user = identity.create_user(name="policy", password=password, domain_id="default")
        role = identity.find_role("member")
        identity.assign_project_role_to_user(project, user, role)
        yield Qinling(clouds, username="policy", password=password, project_name="policy")
        identity.delete_user(user)
        identity.delete_project(project)


def allowed(qinling: Qinling) -> set[str]:
    """Return the rules that permit a user."""
    found = set()
    for rule, (method, path) in CALLS.items():
        json_body: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = qinling.session.request(method, f"{qinling.endpoint}/v1/{path}", timeout=60, **json_body)
        assert answer.status_code in {200, 400, 403, 404}, f"{rule}: {answer.status_code} {answer.text}"
        if answer.status_code != 403:
            found.add(rule)
    return found


def test_policy_of_one_rule_changes_only_that_rule(member: Qinling, administrator: Qinling) -> None:
    assert allowed(member) == DEFAULT | {"runtime:create"}
    assert allowed(administrator) == set(CALLS)


def test_policy_defines_all_enforced_rules(deployment: Deployment, watch: Watch) -> None:
    """A missing rule would fall back to `default`, which permits every owner."""
    inspected = in_api(deployment, [])
    assert len(inspected["enforced"]) > 20
    assert set(inspected["enforced"]) <= set(inspected["rules"])
    # Only rules that other rules refer to are not enforced.
    helpers = {"context_is_admin", "owner", "admin_or_owner", "default"}
    assert set(inspected["rules"]) - set(inspected["enforced"]) == helpers
    assert inspected["valid"]


def tables() -> ModuleType:
    """Return the module with the table-driven unit tests of policies."""
    path = Path(__file__).resolve().parents[1] / "unit/plugin_utils/test_policy.py"
    spec = importlib.util.spec_from_file_location("policy_tables", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parents[3] / "collections"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def test_oslo_policy_parses_policies_that_pass_prechecks(deployment: Deployment) -> None:
    unit = tables()
    sound, broken = unit.VALID, [check for check, _words in unit.INVALID]
    parsed = in_api(deployment, [*sound, *broken])["parsed"]
    assert [check for check in sound if not parsed[check]] == []
    # oslo.policy parses some of the rejected checks, which then fail at enforcement.
    assert [check for check in broken if parsed[check]] == [check for check in unit.INVALID_LATER if check in broken]


def test_policy_is_only_in_api(deployment: Deployment) -> None:
    inside = "find / -xdev -name 'policy.*' -path '*qinling*' -not -path '*/site-packages/*'"
    assert "/etc/qinling/policy.yaml" in deployment.inside("qinling_api", "sh", "-c", f"{inside} 2>/dev/null; true")
    assert deployment.inside("qinling_engine", "sh", "-c", f"{inside} 2>/dev/null; true").strip() == ""
    assert sorted(path.parent.name for path in deployment.node_config.rglob("policy.*")) == ["qinling-api"]


def test_changed_policy_recreates_only_api(
    deployment: Deployment, watch: Watch, member: Qinling, administrator: Qinling
) -> None:
    folder = deployment.directory / "config/qinling"
    (folder / "policy.yaml").unlink()
    (folder / "policy.json").write_text(
        '{\n  // Functions are the administrators\' business.\n  "function:get": "rule:context_is_admin",\n'
        '  "runtime:delete": "role:cloud_owner", # which nobody has\n}\n'
    )
    before = deployment.ids()
    shown = " ".join(watch.play(PLAYS, "-e", "kolla_action=reconfigure").split())
    after = deployment.ids()
    assert [name for name in before if before[name] != after[name]] == ["qinling_api"]
    assert "the role admin no longer suffices for runtime:delete" in shown
    assert allowed(member) == DEFAULT - {"function:get"}
    assert allowed(administrator) == set(CALLS) - {"runtime:delete"}


def test_removed_policy_restores_defaults(
    deployment: Deployment, watch: Watch, member: Qinling, administrator: Qinling
) -> None:
    """The same run changes passwords, for test_secrets.py."""
    (deployment.directory / "config/qinling/policy.json").unlink()
    path = deployment.directory / "passwords.yml"
    passwords = yaml.safe_load(path.read_text())
    new = {name: secrets.token_urlsafe(20) for name in ("qinling_database_password", "qinling_keystone_password")}
    path.write_text(yaml.safe_dump(passwords | new))
    deployment.passwords.update(new)
    watch.add_passwords()
    watch.play(PLAYS, "-e", "kolla_action=reconfigure")
    assert allowed(member) == DEFAULT
    assert allowed(administrator) == set(CALLS)
