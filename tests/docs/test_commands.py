# SPDX-License-Identifier: Apache-2.0
"""Run every command of README.md and docs/ in order, on the deployment that the README's first command creates.

A block of commands is fenced as ```sh, and all blocks of a page run in one shell. A comment `<!-- not run: why -->`
precedes a block that cannot run in this test. Paths, ports and container names are replaced by those of the test
deployment; nothing else is changed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
# In the order in which a new user reads them. The last command of all removes the deployment.
PAGES = (
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "functions",
            "one-machine",
            "actions",
            "kolla-cloud",
            "multinode",
            "second-deployment",
            "kubernetes",
            "swarm",
            "security",
            "troubleshooting",
            "backup",
            "moving",
            "performance",
        )
    ),
)
LAST = "make destroy"
# What a page's commands require.
BEFORE = {
    "docs/moving.md": "openstack --os-cloud qinling role add --user qinling --project service admin",
}
# What a page's commands must print.
PRINTED = {
    "README.md": '"output": "Hello, you"',
    "docs/functions.md": '"output": "5.0 MB of 1 GB"',
    "docs/troubleshooting.md": '"status": "ok"',
}
NOT_RUN = {
    "asks for a password",
    "needs a cluster that Magnum made",
    "needs an administrator of the cluster",
    "the scenario kubernetes does, on a cluster of its own",
    "reaches Ansible Galaxy",
    "takes another deploy",
}
PREFIX = "docs_"
SETTINGS = f"""---
qinling_container_prefix: {PREFIX}
node_config: "{{{{ kolla_config_dir }}}}/node"
database_port: 28306
rabbitmq_port: 28673
rabbitmq_cluster_port: 28672
rabbitmq_epmd_port: 28369
memcached_port: 28211
etcd_client_port: 28379
etcd_peer_port: 28380
keystone_public_port: 28000
qinling_api_port: 28070
qinling_gateway_port: 28071
qinling_swarm_replicas: 2
"""
_FENCE = re.compile(r"^( *)```(\w*)$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (.*) -->$")
# The start of a command, which blocks that are not run must not contain.
_COMMAND = re.compile(r"^ *(make|ansible-playbook|ansible-galaxy|openstack|docker|kubectl|curl|\. /|molecule) ")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text without indentation, and the reason if it is not run."""

    page: str
    line: int
    language: str
    text: str
    not_run: str


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the fenced blocks of a page, whose Markdown is `text`."""
    blocks: list[Block] = []
    reason, start, indent, language = "", 0, "", ""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if start and line == f"{indent}```":
            blocks.append(Block(page, start, language, "\n".join(lines), reason))
            reason, start = "", 0
        elif start:
            lines.append(line.removeprefix(indent))
        elif fence:
            start, indent, language, lines = number, fence[1], fence[2], []
        elif found := _NOT_RUN.match(line):
            reason = found[1]
    assert not start, f"{page}:{start}: the block is not closed"
    return blocks


def blocks() -> list[Block]:
    """Return all blocks of all pages."""
    return [block for page in PAGES for block in blocks_of(page, (PROJECT / page).read_text())]


def adapted(text: str, directory: Path) -> str:
    """Return commands adapted to the test deployment, whose operator's directory is `directory`."""
    text = re.sub(r"/etc/(qinling\.kolla|kolla)\b", str(directory), text)
    text = text.replace("/etc/qinling.second", f"{directory}/second")
    text = text.replace("ansible-playbook ", f"ansible-playbook -e kolla_config_dir={directory} ")
    text = text.replace("/root/", f"{directory}/root/")
    text = re.sub(r"\b(?=qinling_(api|engine|gateway)\b)", PREFIX, text)
    return text.replace("127.0.0.1:7070", "127.0.0.1:28070")


def test_every_page_is_listed() -> None:
    generated = {f"docs/{name}.md" for name in ("variables", "kolla-variables")}
    assert {str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").glob("*.md")} <= {*PAGES, *generated}


def test_commands_are_in_blocks_that_run() -> None:
    text = [block for block in blocks() if block.language != "sh" and _COMMAND.search(block.text)]
    assert not text
    reasons = {block.not_run for block in blocks() if block.not_run}
    assert reasons == NOT_RUN
    # Indented blocks, Markdown's other syntax for code.
    for page in PAGES:
        inside = False
        for number, line in enumerate((PROJECT / page).read_text().splitlines(), 1):
            inside ^= bool(_FENCE.match(line))
            assert inside or not line.startswith("    ") or not _COMMAND.match(line), f"{page}:{number}"


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the operator's directory; the deployment is destroyed at the end."""
    directory = tmp_path_factory.mktemp("operator")
    (directory / "root").mkdir()
    (directory / "globals.yml").write_text(SETTINGS)
    (directory / "multinode").write_text((PROJECT / "inventory" / "all-in-one").read_text())
    group_vars = directory / "group_vars"
    group_vars.symlink_to(PROJECT / "inventory" / "group_vars")
    yield directory
    run(f"{LAST} ARGS='-e qinling_destroy_confirmed=yes'", directory)


def run(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the script of a page, and return the finished process with its output."""
    environment = {
        **os.environ,
        "KOLLA_CONFIG_DIR": str(directory),
        "ANSIBLE_COLLECTIONS_PATH": f"{directory}/collections:{PROJECT}/collections",
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "OS_CLIENT_CONFIG_FILE": str(directory / "clouds.yaml"),
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_page_work(page: str, operator: Path) -> None:
    script = [BEFORE[page]] if page in BEFORE else []
    for block in blocks():
        if block.page == page and block.language == "sh" and not block.not_run:
            script += [f"echo ':: {page}:{block.line}'", adapted(block.text, operator)]
    done = run("\n".join(script), operator)
    assert done.returncode == 0, done.stdout[-6000:]
    assert PRINTED.get(page, "") in done.stdout, done.stdout[-6000:]
