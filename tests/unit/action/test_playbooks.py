# SPDX-License-Identifier: Apache-2.0
"""The action plugins and their modules, run with ansible-playbook."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

CHECKOUT = Path(__file__).resolve().parents[3]
PLAYBOOK = shutil.which("ansible-playbook", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
pytestmark = pytest.mark.skipif(PLAYBOOK is None, reason="ansible-playbook is not installed")
CANARIES = {name: f"CANARY{name}0123456789" for name in ("variable", "inline", "override", "pem", "vault", "literal")}

KEEP_RESULT = """
import json
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "keep_result"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result, failed=False):
        with open("result.json", "w") as stream:
            json.dump({**result._result, "failed": failed}, stream, default=str)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.v2_runner_on_ok(result, True)
"""


class Runner:
    """Runs one task on localhost, in a separate directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "ansible.cfg").write_text("[defaults]\nlocalhost_warning = False\n")
        (folder / "callbacks").mkdir()
        (folder / "callbacks/keep_result.py").write_text(KEEP_RESULT)
        (folder / "vault-password").write_text("vault-password")

    def run(
        self, action: str, options: dict[str, Any], *arguments: str, **variables: Any
    ) -> tuple[dict[str, Any], str]:
        """Return the task's result and the output of ansible-playbook."""
        result = self.folder / "result.json"
        result.unlink(missing_ok=True)
        play = [
            {
                "hosts": "localhost",
                "connection": "local",
                "gather_facts": False,
                "vars": {"ansible_python_interpreter": sys.executable, **variables},
                "tasks": [
                    {"name": "Act", action: options, "ignore_errors": True},
                ],
            }
        ]
        (self.folder / "play.yml").write_text(json.dumps(play))
        done = subprocess.run(
            [str(PLAYBOOK), "play.yml", "--vault-password-file", "vault-password", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"),
                "ANSIBLE_CALLBACK_PLUGINS": str(self.folder / "callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "keep_result",
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert result.exists(), output
        return json.loads(result.read_text()), output

    def encrypt(self, path: Path) -> None:
        """Encrypt a file with ansible-vault."""
        subprocess.run(
            [
                str(Path(str(PLAYBOOK)).with_name("ansible-vault")),
                "encrypt",
                "--vault-password-file",
                "vault-password",
                str(path),
            ],
            cwd=self.folder,
            check=True,
            capture_output=True,
        )


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def definition(folder: Path) -> dict[str, Any]:
    """Write an operator's files, and return the definition of a project that uses them."""
    custom = folder / "config"
    (custom / "qinling").mkdir(parents=True)
    (custom / "qinling.conf").write_text(
        f"[DEFAULT]\nadmin_token = {CANARIES['override']}\nhost = {{{{ service_name }}}}\n"
    )
    (custom / "key.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{CANARIES['pem']}\n-----END PRIVATE KEY-----\n")
    (custom / "base.conf").write_text(
        f"[DEFAULT]\nplain = {{{{ literal }}}}\ntransport_url = rabbit://u:{CANARIES['inline']}@h\n"
        "[database]\nconnection = mysql://u:{{ database_password }}@h/d\n"
        "[custom]\noption = {{ database_password }}\n"
    )
    (custom / "vaulted").write_text(f"anything {CANARIES['vault']}\n")
    services: dict[str, Any] = {"api": {"container_name": "own_api", "group": "all", "image": "i", "command": "api"}}
    services["gone"] = {**services["api"], "container_name": "own_gone", "enabled": False}
    files = [
        {
            "dest": "qinling.conf",
            "ini": {
                "template": str(custom / "base.conf"),
                "overrides": [str(custom / "none.conf"), str(custom / "qinling.conf")],
            },
        },
        {"dest": "pki/key.pem", "copy": str(custom / "key.pem")},
        {"dest": "vaulted", "copy": str(custom / "vaulted")},
    ]
    return {"services": services, "files": {"api": files}}


VARIABLES = {"database_password": CANARIES["variable"], "literal": CANARIES["literal"]}


def plan(
    runner: Runner, definition: dict[str, Any], *arguments: str, variables: dict[str, Any] | None = None, **more: Any
) -> tuple[dict[str, Any], str]:
    """Return the plan of a project, by default with the scope files, and the output."""
    options = {
        "projects": [{"name": "own", "definition": "own_project"}],
        "scopes": ["files"],
        "root": str(runner.folder / "etc"),
        "directory": "/config",
        "secrets": [CANARIES["literal"]],
        **more,
    }
    values = {"own_project": definition, "group_names": ["all"], **(VARIABLES if variables is None else variables)}
    result, output = runner.run("qinling.kolla.plan", options, *arguments, **values)
    assert not result["failed"], output
    return result, output


def write(
    runner: Runner, definition: dict[str, Any], *arguments: str, variables: dict[str, Any] | None = None
) -> tuple[dict[str, Any], str]:
    """Plan the files of a project and write them; return the result of writing, and the output of both."""
    variables = VARIABLES if variables is None else variables
    planned, shown = plan(runner, definition, "-vvv", *arguments, variables=variables)
    options = {"root": str(runner.folder / "etc"), "files": planned["projects"]["own"]["configuration"]}
    result, output = runner.run("qinling.kolla.config_files", options, "-vvv", *arguments, **variables)
    return result, shown + output


def test_configuration_is_written_without_showing_secrets(runner: Runner, tmp_path: Path) -> None:
    project = definition(tmp_path)
    root = tmp_path / "etc"
    runner.encrypt(tmp_path / "config/vaulted")

    checked, checked_output = write(runner, project, "--check", "--diff")
    assert checked["changed"]
    assert not root.exists()
    created, created_output = write(runner, project, "--diff")
    assert created["digests"] == checked["digests"]
    assert created["changes"] == checked["changes"]
    assert (root / "api/vaulted").read_text() == f"anything {CANARIES['vault']}\n"
    assert (root / "api/vaulted").stat().st_mode & 0o777 == 0o600
    written = (root / "api/qinling.conf").read_text()
    assert "host = api\n" in written
    assert f"option = {CANARIES['variable']}\n" in written

    planned, _output = plan(runner, project)
    assert planned["projects"]["own"]["differences"]["files"] == planned["apply"] == []
    assert planned["digests"] == created["digests"]

    rotated = {**VARIABLES, "database_password": "CANARYrotated0123456789"}
    changed, changed_output = write(runner, project, "--diff", variables=rotated)
    assert [change["what"] for change in changed["changes"]] == ["changed"]
    assert changed["digests"] != created["digests"]
    assert "connection = *** (before)" in changed_output
    assert "connection = *** (after)" in changed_output
    assert "option = *** (after)" in changed_output

    for output in (checked_output, created_output, changed_output):
        assert "+++" in output
        assert "CANARY" not in output
    leftovers = (
        [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] if (tmp_path / "tmp").exists() else []
    )
    assert leftovers == []


def test_plan_reports_all_problems_of_files(runner: Runner, tmp_path: Path) -> None:
    project = definition(tmp_path)
    (tmp_path / "config/qinling.conf").write_text(
        "[DEFAULT]\n{% if true %}\na = 1\n{% endif %}\nbroken\nb = {{ literal }\n"
    )
    (tmp_path / "config/other.conf").write_text("[DEFAULT]\n\nx = {{ undefined_name }}\n")
    (tmp_path / "config/third.conf").write_text(f"[DEFAULT]\n{CANARIES['override']}\n")
    files = project["files"]["api"]
    files[0]["ini"]["overrides"] += [str(tmp_path / "config" / name) for name in ("other.conf", "third.conf")]
    files.append({"dest": "absent", "template": str(tmp_path / "absent.j2")})
    for arguments in ((), ("--check",)):
        planned, output = plan(runner, project, *arguments)
        lines = planned["findings"]
        assert lines[0].startswith(f"{tmp_path}/config/qinling.conf:6: not a valid template")
        assert lines[1].startswith(f"{tmp_path}/config/other.conf:3: cannot be rendered: 'undefined_name' is undefined")
        assert lines[2].startswith(f"{tmp_path}/config/third.conf:2: expected")
        assert "absent.j2 is missing" in lines[3]
        assert len(lines) == 4
        assert "CANARY" not in output
        assert not (tmp_path / "etc").exists()


def test_plan_returns_origins_without_secrets(runner: Runner, tmp_path: Path) -> None:
    project = definition(tmp_path)
    planned, output = plan(runner, project, "-vvv", scopes=["origins"])
    found = {(item["section"], item["option"]): item["steps"] for item in planned["origins"]}
    assert found["DEFAULT", "host"] == [
        {
            "text": "host = api",
            "origin": f"{tmp_path}/config/qinling.conf:3",
            "variables": ["service_name"],
        }
    ]
    assert found["database", "connection"][0]["text"] == "connection = ***"
    assert found["custom", "option"][0]["text"] == "option = ***"
    assert planned["names"] == sorted(".".join(key) for key in found)
    assert "CANARY" not in output
    one, _output = plan(runner, project, scopes=["origins"], option="default.HOST")
    assert [item["option"] for item in one["origins"]] == ["host"]


def test_config_files_refuses_unknown_owner(runner: Runner, tmp_path: Path) -> None:
    planned, _output = plan(runner, definition(tmp_path))
    options = {
        "root": str(tmp_path / "etc"),
        "owner": "nobody-of-this-name",
        "files": planned["projects"]["own"]["configuration"],
    }
    result, _output = runner.run("qinling.kolla.config_files", options)
    assert "user or group does not exist on the host: " in result["msg"]
    assert not (tmp_path / "etc").exists()


def test_plan_refuses_invalid_options(runner: Runner, tmp_path: Path) -> None:
    result, _output = runner.run(
        "qinling.kolla.plan", {"scope": [], "scopes": ["unknown", "containers"], "root": str(tmp_path)}
    )
    assert result["failed"]
    for words in (
        "unknown option scope",
        "option directory is missing",
        "unknown scope unknown",
        "the scope containers needs settings.stop_timeout",
    ):
        assert words in result["msg"]


def test_precheck_reports_everything_in_one_message(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "globals.yml").write_text("a: b\nc: [d\n")
    options = {
        "variables": {"some_port": "port", "templated": "string", "good": "bool"},
        "files": [{"path": str(tmp_path / "globals.yml"), "format": "yaml"}],
        "findings": ["from elsewhere"],
    }
    result, _output = runner.run(
        "qinling.kolla.precheck", options, some_port="http", templated="{{ undefined_name }}", good="yes"
    )
    assert result["failed"]
    assert not result["changed"]
    starts = [
        "from elsewhere",
        "some_port: expected a port",
        "templated: cannot be evaluated: ",
        f"{tmp_path}/globals.yml:3: not valid YAML",
    ]
    assert len(result["findings"]) == len(starts)
    for finding, start in zip(result["findings"], starts, strict=True):
        assert finding.startswith(start)
        assert f"- {finding}" in result["msg"]
    assert "4 problems on localhost" in result["msg"]
    passed, _output = runner.run("qinling.kolla.precheck", {**options, "fail": False}, some_port="80")
    assert not passed["failed"]
    assert passed["findings"]


def test_precheck_passes_without_findings(runner: Runner) -> None:
    result, _output = runner.run("qinling.kolla.precheck", {"variables": {"some_port": "port"}}, some_port=80)
    assert (result["failed"], result["findings"]) == (False, [])


def test_failed_plan_has_the_reason_as_a_finding(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/api").symlink_to("/")
    project = {**definition(tmp_path), "files": {}}
    planned, _output = plan(runner, project)
    (finding,) = planned["findings"]
    assert finding.startswith("the host cannot be compared with its desired state: Nothing was changed: ")
    assert "api is a link or a file" in finding
    assert planned["apply"] == ["own"]
    broken = {"api": [{"dest": "f", "content": "{{ nothing_of_this_name }}"}]}
    planned, _output = plan(runner, {**project, "files": broken})
    assert "'nothing_of_this_name' is undefined" in planned["findings"][0]
    planned, _output = plan(runner, project, projects=[{"name": "own", "definition": "another_project"}])
    assert "another_project is not defined; expected it in the vars of the role own" in planned["findings"][0]


def test_invalid_definition_is_reported(runner: Runner, tmp_path: Path) -> None:
    wrong = {**definition(tmp_path), "hook": [], "database": {"password": [CANARIES["literal"]]}}
    planned, output = plan(runner, wrong, scopes=["resources"], database={"host": "h"})
    assert [finding for finding in planned["findings"] if finding.startswith("own_project: hook is not a key")]
    assert [finding for finding in planned["findings"] if "database" in finding]
    assert "CANARY" not in output + str(planned["findings"])


def test_passwords_are_filled_and_never_shown(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "kolla/passwords.yml"
    options = {"path": str(path), "names": ["one", {"name": "two", "kind": "uuid"}]}
    checked, _output = runner.run("qinling.kolla.passwords", options, "--check")
    assert (checked["changed"], checked["filled"], checked["created"]) == (True, ["one", "two"], True)
    assert not path.exists()
    created, output = runner.run("qinling.kolla.passwords", options, "-vvv", "--diff")
    assert created["filled"] == ["one", "two"]
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    for line in text.splitlines()[1:]:
        assert line.split(": ")[1] not in output
    assert "+one: ***" in output
    again, _output = runner.run("qinling.kolla.passwords", options)
    assert (again["changed"], path.read_text()) == (False, text)

    path.write_text("# mine\none: keep\ntwo:  # fill\n")
    path.chmod(0o644)
    runner.run("qinling.kolla.passwords", options)
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# mine", "one: keep"]
    assert lines[2].endswith("  # fill")
    assert path.stat().st_mode & 0o777 == 0o640
    assert [item.name for item in path.parent.iterdir()] == ["passwords.yml"]

    runner.encrypt(path)
    before = path.read_bytes()
    result, _output = runner.run("qinling.kolla.passwords", {"path": str(path), "names": ["new"]})
    assert "encrypted as a whole" in result["msg"]
    assert path.read_bytes() == before

    # Missing passwords are written to a second file, even if the operator's file is encrypted.
    own = path.with_name("passwords-qinling.yml")
    options = {"path": str(own), "names": ["one", "two", "new"], "given": [str(path), str(own)]}
    result, _output = runner.run("qinling.kolla.passwords", options)
    assert (result["filled"], path.read_bytes()) == (["new"], before)
    assert own.stat().st_mode & 0o777 == 0o600
    result, _output = runner.run("qinling.kolla.passwords", options)
    assert not result["changed"]


def test_names_of_playbooks_are_identifiers() -> None:
    """Ansible runs `qinling.kolla.<name>` only if the name is a Python identifier."""
    names = [path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")]
    assert [name for name in names if not name.isidentifier()] == []


@pytest.mark.parametrize(
    ("play", "hosts"),
    [
        ("Apply the plan to the backing services", ["c", "a", "b"]),
        # Hosts with an API come first, also in the order of the inventory.
        ("Apply the plan to Qinling", ["d", "b", "c"]),
        ("Finish the backing services", ["c", "a", "b"]),
    ],
)
def test_plays_preserve_the_order_of_the_inventory(play: str, hosts: list[str]) -> None:
    """The first host and the batches of kolla_serial depend on the order, which Ansible's set filters lose."""
    plays = {item["name"]: item["hosts"] for item in yaml.safe_load((CHECKOUT / "playbooks/site.yml").read_text())}
    groups = {
        "all": ["d", "c", "a", "b"],
        "qinling-api": ["b", "d", "a"],
        "site_apply": ["a", "b", "c"],
        "site_apply_qinling": ["b", "c", "d"],
    }
    template: Any = NativeEnvironment().from_string(plays[play])
    assert template.render(groups=groups) == hosts
    assert template.render(groups={"all": groups["all"]}) == []


# iproute2 before 4.18.
OLD_IP = """#!/bin/sh
[ "$1" != -json ] || { echo 'Option "-json" is unknown' >&2; exit 255; }
PATH=${PATH#*:} exec ip "$@"
"""


def interfaces_of(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the interfaces in the result of the module setup, in the format of the fact qinling_interfaces."""
    entries = {name: facts[f"ansible_{re.sub('[-.:]', '_', name)}"] for name in facts["ansible_interfaces"]}
    return {name: addresses_of(entry) for name, entry in entries.items()}


def addresses_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the documented addresses of an interface."""
    ipv4, ipv6 = entry.get("ipv4"), entry.get("ipv6")
    return {
        **({"ipv4": {"address": ipv4["address"]}} if ipv4 else {}),
        **({"ipv6": [{key: item[key] for key in ("address", "scope")} for item in ipv6]} if ipv6 else {}),
    }


@pytest.mark.parametrize("ip", ["", OLD_IP], ids=["with ip", "with setup, as ip is too old"])
def test_interface_facts_match_setup(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ip: str) -> None:
    def gather() -> dict[str, Any]:
        result, _output = runner.run("ansible.builtin.setup", {"gather_subset": ["!all", "!min", "interfaces"]})
        return interfaces_of(result["ansible_facts"])

    before = gather()
    with monkeypatch.context() as patch:
        if ip:
            (tmp_path / "old").mkdir()
            (tmp_path / "old/ip").write_text(ip)
            (tmp_path / "old/ip").chmod(0o755)
            patch.setenv("PATH", f"{tmp_path}/old:{os.environ['PATH']}")
        collected, _output = runner.run("qinling.kolla.interface_facts", {}, "--check")
    after = gather()
    assert list(collected["ansible_facts"]) == ["qinling_interfaces"]
    found = {name: addresses_of(entry) for name, entry in collected["ansible_facts"]["qinling_interfaces"].items()}
    # Other programs, such as Docker, may add and remove interfaces during the test.
    expected = {name: entry for name, entry in before.items() if after.get(name) == entry}
    assert expected["lo"]["ipv4"] == {"address": "127.0.0.1"}
    assert {name: entry for name, entry in found.items() if name in expected} == expected


def test_container_health_reports_missing_container_without_secrets(runner: Runner) -> None:
    options = {
        "containers": [{"name": "qinling-kolla-no-such-container"}],
        "seconds": 0,
        "secrets": [CANARIES["literal"]],
    }
    result, output = runner.run("qinling.kolla.container_health", options, "-vvv", some_password=CANARIES["variable"])
    assert result["failed"]
    assert "The container qinling-kolla-no-such-container did not become healthy within 0 s." in result["msg"]
    assert result["containers"] == [
        {"name": "qinling-kolla-no-such-container", "image": "unknown", "status": "missing"}
    ]
    assert not [name for name in ("literal", "variable") if CANARIES[name] in output]


def test_resources_are_applied_on_controller_and_host_without_showing_secrets(runner: Runner, tmp_path: Path) -> None:
    secret = CANARIES["literal"]
    owner = {"owner": str(os.getuid()), "group": str(os.getgid()), "mode": "0600"}
    local = {"kind": "file", "on_controller": True, "note": "Now restart it.", "path": str(tmp_path / "local"), **owner}
    local["content"] = f"plain {secret}\n"
    remote = {"kind": "file", "path": str(tmp_path / "remote"), "content": "b\n", **owner}
    database = {"kind": "database", "host": "127.0.0.1", "port": 1, "tls": False, "name": "s", "user": "u"}
    database |= {"password": CANARIES["inline"], "admin_user": "root", "admin_password": CANARIES["variable"]}

    options = {"resources": [local, remote], "secrets": [secret]}
    checked, _output = runner.run("qinling.kolla.resources", options, "--check")
    assert not (tmp_path / "local").exists()
    result, output = runner.run("qinling.kolla.resources", options, "-vvv", "--diff")
    done = [str(tmp_path / "local"), str(tmp_path / "remote")]
    assert (result["done"], checked["done"], result["changed"], checked["changed"]) == (done, done, True, True)
    assert "Now restart it." in output
    assert "+plain ***" in output
    again, output = runner.run("qinling.kolla.resources", options)
    assert (again["done"], again["changed"]) == ([], False)
    assert "Now restart it." not in output.replace('"note"', "")
    assert (tmp_path / "remote").read_text() == "b\n"

    # The server does not respond in check mode of the run that deploys it.
    options = {"resources": [{**local, "content": "c\n"}, database], "server_in_same_run": True}
    result, output = runner.run("qinling.kolla.resources", options, "--check", "-vvv")
    assert not result["failed"]
    assert result["done"][0] == str(tmp_path / "local")
    assert result["done"][1].startswith("database: everything, once its server answers (database server 127.0.0.1:1 ")
    failed, more = runner.run("qinling.kolla.resources", {"resource": []})
    assert "unknown option resource" in failed["msg"]
    for canary in CANARIES.values():
        assert canary not in output + more
