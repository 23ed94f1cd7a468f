# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill in missing values in the password file on the controller."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.qinling.kolla.plugins.module_utils._config import atomic_write
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action, option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._input import passwords

_VAULT = "$ANSIBLE_VAULT"


class ActionModule(Action):
    """Thin glue between Ansible, the password file and `passwords.fill`."""

    _supports_diff = True

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        del task_vars
        problems = option_problems(args, ("path", "names", "given"), ("path",))
        if problems or not isinstance(args.get("names"), list) or not isinstance(args.get("given") or [], list):
            reason = f" ({'; '.join(problems)})" if problems else ""
            raise AnsibleActionFail(f"qinling.kolla.passwords: expected path, and the lists names and given{reason}")
        given = {name for file in args.get("given") or [] for name in self._given(str(file))}
        required = {name: kind for name, kind in kinds_of(args["names"]).items() if name not in given}
        # A symbolic link is preserved: its target is replaced.
        path = Path(str(args["path"])).expanduser().resolve()
        check = self._task.check_mode
        try:
            if check or not required:
                created, filled = update(path, required, write=False)
            else:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with locked(path.parent):
                    created, filled = update(path, required, write=True)
        except FindingsError as error:
            raise AnsibleActionFail(f"Nothing was changed:\n{error}") from error
        except OSError as error:
            raise AnsibleActionFail(f"{error.filename or path}: {error.strerror}") from error
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o007:
            result["warnings"] = [f"{path} is readable by other users; chmod it to 0600"]
        result.update({"changed": bool(filled), "filled": filled, "created": created and bool(filled)})
        if filled:
            result["diff"] = {"prepared": "".join(f"+{name}: ***\n" for name in filled)}
        return result

    def _given(self, file: str) -> set[str]:
        """Return the names that have a value in a file, which ansible-vault may have encrypted."""
        path = Path(file).expanduser()
        if not path.exists():
            return set()
        try:
            content, _was_plain = self._loader._get_file_contents(str(path))
            return passwords.given(bytes(content).decode("utf-8"), str(path))
        except UnicodeDecodeError as error:
            raise AnsibleActionFail(f"{path} is not UTF-8") from error
        except FindingsError as error:
            raise AnsibleActionFail(f"Nothing was changed:\n{error}") from error
        except AnsibleError as error:
            raise AnsibleActionFail(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def kinds_of(names: list[Any]) -> dict[str, str]:
    """Return the kind of each password by name, from names or mappings of name and kind.

    Raise AnsibleActionFail if an item is neither.
    """
    kinds = {}
    for item in names:
        entry = item if isinstance(item, Mapping) else {"name": item}
        if not isinstance(entry.get("name"), str) or set(entry) - {"name", "kind"}:
            raise AnsibleActionFail(
                f"qinling.kolla.passwords: {item!r} is neither a name nor a mapping of name and kind"
            )
        kinds[str(entry["name"])] = str(entry.get("kind", "password"))
    return kinds


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a directory against concurrent runs that would fill a file in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def update(path: Path, kinds: Mapping[str, str], write: bool) -> tuple[bool, list[str]]:
    """Fill a password file if `write` is set.

    Return whether the file is new, and the names that were, or would be, filled. `kinds` has the kind of each password.
    """
    created = not path.exists()
    try:
        text = "" if created else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AnsibleActionFail(f"{path} is not UTF-8") from error
    if text.startswith(_VAULT):
        raise AnsibleActionFail(
            f"{path} is encrypted as a whole and cannot be filled; decrypt it with ansible-vault, run this again and "
            "encrypt it, or set the values yourself"
        )
    changed, filled = passwords.fill(text, str(path), kinds)
    if filled and write:
        replace(path, changed)
    return created, filled


def replace(path: Path, text: str) -> None:
    """Replace a file atomically; the new file is not accessible to other users."""
    mode, owner = 0o600, (-1, -1)
    if path.exists():
        status = path.stat()
        mode, owner = stat.S_IMODE(status.st_mode) & 0o770, (status.st_uid, status.st_gid)
    atomic_write.replace(path, text.encode(), f".{path.name}-", mode, owner)
