# SPDX-License-Identifier: Apache-2.0
"""Python environments with the supported ansible-core versions, cached for all checkouts of the user.

As a script it prints the directory of an environment's programs; its arguments are a version, "lowest" or "highest",
and optionally a version of Python. Without arguments it prints all supported pairs of versions.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qinling.kolla"
# By version of ansible-core: the release of the package `ansible` with its collections, and the supported Python
# versions in order of preference. The pinned libraries need Python 3.11.
VERSIONS = {
    "2.16": ("9.13.0", ("3.12", "3.11")),
    "2.18": ("11.13.0", ("3.13", "3.12", "3.11")),
    "2.19": ("12.3.0", ("3.13", "3.12", "3.11")),
    "2.20": ("13.8.0", ("3.14", "3.13", "3.12")),
    "2.21": ("14.5.0", ("3.14", "3.13", "3.12")),
}
LOWEST, *_unused, HIGHEST = VERSIONS
# The version in requirements.txt, which .venv contains.
PINNED = "2.19"
# Pinned packages that are not installed: Ansible, whose version differs, and the clients, which playbooks do not use.
_EXCLUDED = re.compile(r"ansible|python-|-r ")
_TEST_TOOLS = re.compile(r"oslo\.config|pytest==")


class NoPythonError(Exception):
    """No installed Python supports a version of ansible-core."""


def requirements(version: str) -> list[str]:
    """Return the requirements of an environment: its release of `ansible`, and the other pinned packages."""
    needed = [line for line in _lines("requirements.txt") if not _EXCLUDED.match(line)]
    tools = [line for line in _lines("requirements-test.txt") if _TEST_TOOLS.match(line)]
    return [f"ansible=={VERSIONS[version][0]}", f"ansible-core~={version}.0", *needed, *tools]


def _lines(name: str) -> list[str]:
    lines = (PROJECT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def python_of(version: str, python: str = "") -> tuple[str, str]:
    """Return version and path of the Python for an ansible-core; raise NoPythonError if PATH and pyenv have none.

    `python` is the version; by default the first installed one that ansible-core supports.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    accepted = (python,) if python else VERSIONS[version][1]
    for name in accepted:
        candidates = [shutil.which(f"python{name}"), *sorted(map(str, pyenv.glob(f"{name}.*/bin/python")))]
        for candidate in filter(None, candidates):
            # pyenv also has shims for versions that are not selected, which fail.
            if subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
                return name, candidate
    raise NoPythonError(
        f"ansible-core {version}: no supported Python; expected {' or '.join(accepted)} on PATH or in {pyenv}; "
        "install one of them"
    )


def programs(version: str, python: str = "") -> Path:
    """Return the directory of the programs of an environment, which is created if missing."""
    needed, (python, interpreter) = requirements(version), python_of(version, python)
    digest = hashlib.sha256("\n".join([interpreter, *needed]).encode()).hexdigest()[:16]
    name = f"ansible-core-{version}-python{python}"
    folder = CACHE / f"{name}-{digest}"
    complete = folder / ".complete"
    if not complete.exists():
        for old in folder.parent.glob(f"{name}-*"):
            shutil.rmtree(old)
        subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*pip, *needed], check=True, stdout=sys.stderr)
        # The collections are not compiled, because the tests use few of them.
        compiling = [str(folder / "bin/python"), "-m", "compileall", "-q", "-j", "0", "-x", "ansible_collections"]
        subprocess.run([*compiling, str(folder / "lib")], check=False, stdout=subprocess.DEVNULL)
        complete.touch()
    return folder / "bin"


def main(arguments: list[str]) -> None:
    """Print the programs of the environment that the arguments name, or all pairs of versions."""
    if not arguments:
        for version, (_release, pythons) in VERSIONS.items():
            print("\n".join(f"{version} {python}" for python in pythons))
        return
    version, *python = arguments
    print(programs({"lowest": LOWEST, "highest": HIGHEST}.get(version, version), *python))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NoPythonError as error:
        print(error, file=sys.stderr)
        # tests/run reports this status as skipped.
        sys.exit(77)
