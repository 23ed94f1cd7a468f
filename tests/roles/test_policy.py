# SPDX-License-Identifier: Apache-2.0
"""Who may call what: with the policy that was deployed, after it was changed, and when it is gone.

The API asks for permission before it looks at a request any closer, so a request that is nonsense tells who is let in:
403 for those who are not, 400 or 404 for those who are. The tests stand in the order of an operator's day.
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

import openstack
import pytest
import yaml
from deployment import Deployment
from qinling_http import Qinling
from watch import PLAYS, Watch

NOBODY = "00000000-0000-4000-8000-000000000000"
# A call for each rule that the tests change or leave alone.
CALLS = {
    "runtime:create": ("POST", "runtimes"),
    "runtime:delete": ("DELETE", f"runtimes/{NOBODY}"),
    "function:get": ("GET", f"functions/{NOBODY}"),
    "function:get_all:all_projects": ("GET", "functions?all_projects=true"),
    "function_version:get": ("GET", f"functions/{NOBODY}/versions/1"),
}
DEFAULT = {"function:get", "function_version:get"}

# Run in the API's container: the rules that Qinling's code asks for, and those that oslo.policy does not understand.
LOOK = """
import ast, json, logging, pathlib, sys
import qinling
from oslo_policy import _checks, _parser, policy
from oslo_config import cfg
asked = set()
for path in pathlib.Path(qinling.__file__).parent.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "enforce" and "tests" not in path.parts:
            asked |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
class Told(logging.Handler):
    def emit(self, record):
        self.level_seen = max(getattr(self, "level_seen", 0), record.levelno)
def understood(check):
    told = Told()
    logging.getLogger("oslo_policy").addHandler(told)
    _parser.parse_rule(check)
    logging.getLogger("oslo_policy").removeHandler(told)
    return getattr(told, "level_seen", 0) < logging.ERROR
checks = json.load(sys.stdin)
enforcer = policy.Enforcer(cfg.ConfigOpts(), policy_file="/etc/qinling/policy.yaml")
enforcer.conf([])
enforcer.load_rules()
print(json.dumps({
    "asked": sorted(asked),
    "rules": {name: str(check) for name, check in enforcer.rules.items()},
    "sound": enforcer.check_rules(),
    "understood": {check: understood(check) for check in checks},
}))
"""


def in_api(deployment: Deployment, checks: list[str]) -> dict[str, object]:
    """Return what LOOK prints in the API's container for some checks."""
    command = ["docker", "exec", "-i", f"{deployment.prefix}qinling_api", "python", "-c", LOOK]
    done = subprocess.run(command, input=json.dumps(checks), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def administrator(deployment: Deployment, watch: Watch) -> Qinling:
    """Qinling as the cloud's administrator sees it."""
    return Qinling(deployment.directory / "clouds.yaml")


@pytest.fixture(scope="session")
def member(deployment: Deployment, watch: Watch) -> Iterator[Qinling]:
    """Qinling as a user sees it who is a member of a project, and nothing else."""
    clouds = deployment.directory / "clouds.yaml"
    auth = yaml.safe_load(clouds.read_text())["clouds"]["qinling"]["auth"]
    with openstack.connect(auth=auth, load_yaml_config=False, load_envvars=False) as cloud:
        identity = cloud.identity
        # Not a password change of a user that a run before left: it would revoke tokens of the same second.
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
    """Return the rules that let a user in."""
    found = set()
    for rule, (method, path) in CALLS.items():
        json_body = {"json": {}} if method == "POST" else {}
        answer = qinling.session.request(method, f"{qinling.endpoint}/v1/{path}", timeout=60, **json_body)
        assert answer.status_code in {200, 400, 403, 404}, f"{rule}: {answer.status_code} {answer.text}"
        if answer.status_code != 403:
            found.add(rule)
    return found


def test_a_policy_of_one_rule_changes_that_rule_alone(member: Qinling, administrator: Qinling) -> None:
    assert allowed(member) == DEFAULT | {"runtime:create"}
    assert allowed(administrator) == set(CALLS)


def test_every_rule_that_qinling_asks_for_is_there(deployment: Deployment, watch: Watch) -> None:
    """A rule that is not there would be decided by `default`: any owner may."""
    seen = in_api(deployment, [])
    assert len(seen["asked"]) > 20
    assert set(seen["asked"]) <= set(seen["rules"])
    # And none that nothing asks for, save those which others refer to.
    helpers = {"context_is_admin", "owner", "admin_or_owner", "default"}
    assert set(seen["rules"]) - set(seen["asked"]) == helpers
    assert seen["sound"]


def tables() -> ModuleType:
    """The table-driven unit tests of policies."""
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


def test_oslo_policy_understands_what_the_prechecks_let_through(deployment: Deployment) -> None:
    unit = tables()
    sound, broken = unit.SOUND, [check for check, _words in unit.UNSOUND]
    understood = in_api(deployment, [*sound, *broken])["understood"]
    assert [check for check in sound if not understood[check]] == []
    # Of what the prechecks stop, oslo.policy takes some for a check that fails when it is asked.
    assert [check for check in broken if understood[check]] == [
        check for check in unit.UNSOUND_LATER if check in broken
    ]


def test_it_goes_to_the_api_alone(deployment: Deployment) -> None:
    inside = "find / -xdev -name 'policy.*' -path '*qinling*' -not -path '*/site-packages/*'"
    assert "/etc/qinling/policy.yaml" in deployment.inside("qinling_api", "sh", "-c", f"{inside} 2>/dev/null; true")
    assert deployment.inside("qinling_engine", "sh", "-c", f"{inside} 2>/dev/null; true").strip() == ""
    assert sorted(path.parent.name for path in deployment.node_config.rglob("policy.*")) == ["qinling-api"]


def test_another_policy_restarts_the_api_alone(
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
    assert "the role admin is not enough any more for runtime:delete" in shown
    assert allowed(member) == DEFAULT - {"function:get"}
    assert allowed(administrator) == set(CALLS) - {"runtime:delete"}


def test_without_a_policy_all_is_as_it_was(
    deployment: Deployment, watch: Watch, member: Qinling, administrator: Qinling
) -> None:
    """And with new passwords all goes on, without anybody having seen them."""
    (deployment.directory / "config/qinling/policy.json").unlink()
    path = deployment.directory / "passwords.yml"
    passwords = yaml.safe_load(path.read_text())
    new = {name: secrets.token_urlsafe(20) for name in ("qinling_database_password", "qinling_keystone_password")}
    path.write_text(yaml.safe_dump(passwords | new))
    deployment.passwords.update(new)
    watch.learn()
    watch.play(PLAYS, "-e", "kolla_action=reconfigure")
    assert allowed(member) == DEFAULT
    assert allowed(administrator) == set(CALLS)
