# SPDX-License-Identifier: Apache-2.0
"""The image role: its data is consistent, and its scripts work with stubs for the commands that they call."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[2] / "roles" / "image"
FILES = ROLE / "files"
VARS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
CATALOG = VARS["__image_catalog"]
LOCKS = sorted({image["lock"] for image in CATALOG if "lock" in image})


def test_choices_equal_the_catalog() -> None:
    assert OPTIONS["qinling_image_names"]["choices"] == [image["name"] for image in CATALOG]


def test_parents_precede_their_children() -> None:
    seen = {""}
    for image in CATALOG:
        assert image["parent"] in seen, image["name"]
        seen.add(image["name"])


@pytest.mark.parametrize("image", CATALOG, ids=lambda image: image["name"])
def test_files_of_an_image_exist(image: dict[str, object]) -> None:
    for source in image.get("sources", []):  # type: ignore[attr-defined]
        assert (FILES / source).exists()
    if image["name"] not in ("memcached", "qinling-gateway", "qinling-api", "qinling-engine"):
        assert (FILES / str(image["name"])).is_dir()


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_are_exact_and_without_index(lock: str) -> None:
    text = (FILES / lock / "requirements.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    entries = [entry.partition("==") for entry in text.replace("\\\n", " ").splitlines()]
    for name, _equals, pin in entries:
        assert re.fullmatch(r"\S+(\s+--hash=sha256:[0-9a-f]{64})+\s*", pin), name
    lines = (FILES / lock / "requirements.in").read_text().splitlines()
    required = {line.partition("==")[0] for line in lines if not line.startswith("#")}
    assert required <= {name for name, _equals, _pin in entries}


def stub(folder: Path, name: str, body: str) -> None:
    """Write a stub of a command, which comes first in the PATH of the script under test."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def run(script: Path, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` with the stubs in ``folder`` first in its PATH."""
    return subprocess.run(
        ["/bin/bash", str(script), *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


DEBIAN = "Debian|Debian|http://mirror.example/debian/"
SECURITY = "Debian|Debian-Security|http://mirror.example/security/"
OTHER = "Acme|Acme|https://packages.example/apt/"


@pytest.mark.parametrize(
    ("indexes", "mirror", "security", "expected"),
    [
        ([DEBIAN, SECURITY], "", "", ["http://mirror.example/debian", "http://mirror.example/security"]),
        ([OTHER, DEBIAN], "", "", ["http://mirror.example/debian", None]),
        # Before a host's first "apt update", origin and label are unknown.
        (
            ["$(ORIGIN)|$(LABEL)|http://a.example/debian/", "$(ORIGIN)|$(LABEL)|http://a.example/debian-security/"],
            "",
            "",
            ["http://a.example/debian", "http://a.example/debian-security"],
        ),
        ([OTHER], "", "", ["http://deb.debian.org/debian", "http://deb.debian.org/debian-security"]),
        ([], "", "", ["http://deb.debian.org/debian", "http://deb.debian.org/debian-security"]),
        ([DEBIAN, SECURITY], "http://mine.example/d", "", ["http://mine.example/d", None]),
        (
            [DEBIAN, SECURITY],
            "http://mine.example/d",
            "http://mine.example/s",
            ["http://mine.example/d", "http://mine.example/s"],
        ),
        ([DEBIAN, SECURITY], "", "http://mine.example/s", ["http://mirror.example/debian", "http://mine.example/s"]),
    ],
)
def test_host_finds_mirrors(
    tmp_path: Path, indexes: list[str], mirror: str, security: str, expected: list[str | None]
) -> None:
    bin_ = tmp_path / "bin"
    stub(bin_, "apt-get", "printf '%s\\n' " + " ".join(f"'{line}'" for line in indexes) if indexes else "exit 1")
    stub(bin_, "apt-config", "exit 1")
    result = run(FILES / "build" / "host.sh", bin_, str(tmp_path / "build"), "trixie", mirror, security)
    assert result.returncode == 0, result.stderr
    main, updates = expected
    lines = [f"deb {main} trixie main", f"deb {main} trixie-updates main"]
    if updates:
        lines.append(f"deb {updates} trixie-security main")
    assert (tmp_path / "build" / "host" / "sources.list").read_text().splitlines() == lines
    assert (tmp_path / "build" / "host" / "mirror").read_text().strip() == main


def test_host_passes_settings_for_the_mirror(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    certificates = tmp_path / "ca.pem"
    certificates.write_text("certificate\n")
    stub(bin_, "apt-get", "exit 0")
    stub(
        bin_,
        "apt-config",
        f"""if [[ $1 == shell ]]; then echo "file='{certificates}'"; else cat <<'DUMP'
Acquire::http::Proxy "http://user:secret@proxy.example:3128";
Acquire::https::CAInfo "/somewhere/on/the/host";
Acquire::Check-Valid-Until "false";
Acquire::Languages:: "none";
DPkg::Post-Invoke:: "rm -rf /";
DUMP
fi""",
    )
    result = run(FILES / "build" / "host.sh", bin_, str(tmp_path), "trixie", "", "", HTTPS_PROXY="http://p.example:1 2")
    assert result.returncode == 0, result.stderr
    host = tmp_path / "host"
    assert (host / "apt.conf").read_text().splitlines() == [
        'Acquire::http::Proxy "http://user:secret@proxy.example:3128";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::https::CAInfo "/mnt/host/ca.crt";',
    ]
    assert (host / "ca.crt").read_text() == "certificate\n"
    assert (host / "environment").read_text() == "export https_proxy=http://p.example:1\\ 2\n"
    assert {path.stat().st_mode & 0o077 for path in host.iterdir()} == {0}


def test_new_run_fetches_package_lists_again(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    stub(bin_, "apt-get", "exit 0")
    stub(bin_, "apt-config", "exit 0")
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt" / "updated").touch()
    assert run(FILES / "build" / "host.sh", bin_, str(tmp_path), "trixie", "", "").returncode == 0
    assert not (tmp_path / "apt" / "updated").exists()


def test_wheels_are_fetched_once_per_lock(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    calls = tmp_path / "calls"
    stub(
        bin_,
        "fakepip",
        f'echo "$*" >> {calls}\n'
        'while (($#)); do [[ $1 != --dest ]] || mkdir -p "$2"; shift; done\n'
        f"[[ ! -e {tmp_path}/broken ]]",
    )
    lock = tmp_path / "context" / "some" / "requirements.txt"
    lock.parent.mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    lock.write_text("a==1\n")
    command = [str(tmp_path), "some/requirements.txt", "3.13", "fakepip", "--verbose"]

    def fetch() -> int:
        return run(FILES / "build" / "wheels.sh", bin_, *command).returncode

    (tmp_path / "broken").touch()
    assert fetch() != 0
    assert not (tmp_path / "wheels" / "some").exists()
    (tmp_path / "broken").unlink()
    assert fetch() == 0
    assert fetch() == 0
    assert len(calls.read_text().splitlines()) == 2
    first = (tmp_path / "wheels" / "some").resolve()
    lock.write_text("a==2\n")
    assert fetch() == 0
    assert (tmp_path / "wheels" / "some").resolve() != first
    last = calls.read_text().splitlines()[-1]
    assert last.startswith("--verbose download ")
    for option in ("--require-hashes", "--no-deps", "--python-version 3.13", "--abi cp313"):
        assert option in last


def mariadb_bootstrap(tmp_path: Path, *, statements: bool = True) -> subprocess.CompletedProcess[str]:
    """Run MariaDB's bootstrap against a data directory below ``tmp_path``."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    bin_ = tmp_path / "bin"
    stub(bin_, "mariadb-install-db", f"mkdir {data}/mysql")
    stub(bin_, "mariadbd", f"cat > {tmp_path}/ran")
    if statements:
        (tmp_path / "bootstrap.sql").write_text("SET something;\n")
    text = (FILES / "mariadb-server/root/usr/local/bin/kolla_extend_start").read_text()
    for original, replacement in {
        "/var/lib/mysql": data,
        "/etc/mysql/": f"{tmp_path}/",
        "/var/log/kolla/mariadb": tmp_path / "log",
    }.items():
        assert original in text
        text = text.replace(original, str(replacement))
    script = tmp_path / "script"
    script.write_text("set -o errexit -o pipefail -o nounset\n" + text)
    return run(script, bin_, KOLLA_BOOTSTRAP="")


@pytest.mark.parametrize(
    ("content", "code", "last"),
    [
        ([], 0, "changed=true"),
        (["lost+found/"], 0, "changed=true"),
        (["mysql/", "ibdata1"], 0, "changed=false"),
        ([".bootstrap", "mysql/", "ibdata1"], 0, "changed=true"),
        (["unknown file"], 1, None),
    ],
)
def test_mariadb_bootstrap(tmp_path: Path, content: list[str], code: int, last: str | None) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in content:
        (data / name).mkdir() if name.endswith("/") else (data / name).touch()
    result = mariadb_bootstrap(tmp_path)
    assert result.returncode == code, result.stderr
    if last:
        assert result.stdout.splitlines()[-1] == last
        assert not (data / ".bootstrap").exists()
    else:
        assert {path.name for path in data.iterdir()} == set(content)
        assert "neither empty nor a database" in result.stderr
    assert (tmp_path / "ran").exists() == (last == "changed=true")
    if last == "changed=true":
        assert (tmp_path / "ran").read_text() == "FLUSH PRIVILEGES;\nSET something;\n"
        assert not (data / "ibdata1").exists()
        assert mariadb_bootstrap(tmp_path).stdout.splitlines()[-1] == "changed=false"


def test_mariadb_bootstrap_needs_its_statements(tmp_path: Path) -> None:
    result = mariadb_bootstrap(tmp_path, statements=False)
    assert result.returncode == 1
    assert "bootstrap.sql: file not found" in result.stderr
    assert list((tmp_path / "data").iterdir()) == []


class KeystoneProgram:
    """The image's keystone-bootstrap with a fake Keystone, which has no database and records its commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder, self.answers, self.messages = folder, [["a"], ["a"]], list[str]()
        self.sync = 0

        def list_endpoints() -> list[dict[str, str]]:
            return [{"id": url, "interface": "public", "url": url} for url in self.answers.pop(0)]

        def do_bootstrap(_bootstrap: Any) -> None:
            for message in self.messages:
                logging.getLogger("keystone.cmd.bootstrap").info(message)

        bootstrap = type("BootStrap", (), {"do_bootstrap": do_bootstrap})

        def command(arguments: list[str]) -> None:
            if arguments[1] == "bootstrap":
                bootstrap().do_bootstrap()
                return
            with (folder / "commands").open("a") as stream:
                stream.write(" ".join(arguments[1:]) + "\n")
            print("noise")
            if arguments[1] == "db_sync":
                sys.exit(self.sync if arguments[2:] == [] else not (folder / "tables").exists())

        cli = types.SimpleNamespace(BootStrap=bootstrap, main=command)
        catalog = types.SimpleNamespace(list_endpoints=list_endpoints)
        provider_api = types.SimpleNamespace(ProviderAPIs=types.SimpleNamespace(catalog_api=catalog))
        modules = {"keystone": None, "keystone.cmd": {"cli": cli}, "keystone.common": {"provider_api": provider_api}}
        for name, content in modules.items():
            module = types.ModuleType(name)
            module.__dict__.update(content or {})
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(logging.getLogger("keystone.cmd.bootstrap"), "handlers", [])
        path = FILES / "keystone/root/usr/local/bin/keystone-bootstrap"
        self.namespace: dict[str, Any] = {"__name__": "keystone_bootstrap"}
        exec(compile(path.read_text(), str(path), "exec"), self.namespace)
        self.namespace["SETTINGS"] = folder

    def create(self, *names: str) -> None:
        for name in names:
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).touch()

    def run(self) -> set[str]:
        """Run keystone-bootstrap, and return the commands of keystone-manage that it ran."""
        self.namespace["main"]()
        return set((self.folder / "commands").read_text().splitlines())


@pytest.fixture
def keystone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KeystoneProgram:
    return KeystoneProgram(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("messages", "before", "after", "expected"),
    [
        (["Domain default already exists, skipping creation."], ["a"], ["a"], "false"),
        (["Granted role admin on the system to user admin.", "public endpoint updated"], ["a"], ["a"], "false"),
        (["public endpoint updated"], ["a"], ["b"], "true"),
        (["Created role member"], ["a"], ["a"], "true"),
        (["Reset password for user admin."], ["a"], ["a"], "true"),
        (["Granted role admin on project admin to user admin."], ["a"], ["a"], "true"),
        (["User admin already has role admin on project admin."], ["a"], ["a"], "false"),
    ],
)
def test_keystone_bootstrap_detects_changes(
    keystone: KeystoneProgram,
    capfd: pytest.CaptureFixture[str],
    messages: list[str],
    before: list[str],
    after: list[str],
    expected: str,
) -> None:
    keystone.messages, keystone.answers = messages, [before, after]
    keystone.create("tables", "fernet-keys/0", "credential-keys/0")
    assert keystone.run() == {"db_sync --check"}
    assert capfd.readouterr().out.splitlines() == [*messages, f"changed={expected}"]


def test_keystone_bootstrap_creates_missing_parts(keystone: KeystoneProgram, capfd: pytest.CaptureFixture[str]) -> None:
    keystone.create("fernet-keys/1")
    setup = "credential_setup --keystone-user keystone --keystone-group keystone"
    assert keystone.run() == {"db_sync --check", "db_sync", setup}
    assert capfd.readouterr().out.splitlines()[-1] == "changed=true"


def test_keystone_bootstrap_stops_if_a_command_fails(keystone: KeystoneProgram) -> None:
    keystone.sync = 1
    with pytest.raises(SystemExit, match="keystone-manage db_sync failed"):
        keystone.run()
