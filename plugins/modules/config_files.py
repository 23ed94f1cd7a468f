#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Write the configuration files of services in one call
version_added: 0.1.0
description:
  - Makes the services' directories on the host hold exactly the files that M(qinling.kolla.plan) has rendered.
  - A directory that was created here carries the marker C(.qinling.kolla). The directory of a service that is not
    enabled is removed only if it has the marker; one that does not is left alone and returned in RV(kept).
  - Directories have mode C(0770); files are replaced atomically. Symbolic links are not followed.
author:
  - the qinling.kolla authors
options:
  root:
    description: Directory on the host below which each service has a directory of its name.
    type: path
    required: true
  owner:
    description: Name or number of the user that owns the directories and files. Left as it is when not given.
    type: str
  group:
    description: Name or number of the group of the directories and files. Left as it is when not given.
    type: str
  files:
    description:
      - The files, as the plan has them in C(configuration) of a project. They hold secrets; nothing of them is shown.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Reports what would change, including the digests.
  diff_mode:
    support: full
    description: Shows unified diffs in which secrets are masked; a changed secret shows as changed.
"""

EXAMPLES = r"""
- name: Config | Write the files of Qinling's services
  qinling.kolla.config_files:
    root: "{{ node_config_directory }}"
    owner: "{{ config_owner_user }}"
    group: "{{ config_owner_group }}"
    files: "{{ plan.projects.qinling.configuration }}"
"""

RETURN = r"""
digests:
  description: SHA-256 of each enabled service's files (path, mode and content), in check mode as well.
  returned: success
  type: dict
  sample: {"qinling-api": "5d41402abc4b2a76b9719d911017c592ae3f1c1c8a3d7d6f3d6d5e6c2d9b9a1e"}
changed_services:
  description: Services of which a file or directory was created, changed, removed or given another mode or owner.
  returned: success
  type: list
  elements: str
changes:
  description: What was done, each as path and what happened to it.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/etc/kolla/qinling-api/qinling.conf", "what": "changed"}]
kept:
  description: Directories of services that are not enabled which were left alone, as they have no marker.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import (
    Change,
    Outcome,
    TreeError,
    WantedFile,
    digest,
    identity,
    reconcile,
)
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import MASK, mask_pair


def text_of(content: bytes | None) -> str | None:
    """Takes a file's content, returns it as text, or none if it is not text."""
    try:
        return (content or b"").decode("utf-8") if b"\0" not in (content or b"") else None
    except UnicodeDecodeError:
        return None


def diff_of(change: Change, secrets: list[str]) -> dict[str, str]:
    """Takes a change, returns it in Ansible's form of a diff, without secrets."""
    if change.before is None and change.after is None:
        return {"prepared": f"{change.path}: {change.what}\n"}
    before, after = text_of(change.before), text_of(change.after)
    if change.what == "removed":
        # Nothing tells any more whether it was secret.
        sides = [f"{MASK} (removed, not shown)\n", ""]
    elif change.secret or before is None or after is None:
        reason = "secret" if change.secret else "binary"
        # Of a file that was there, and is there, both sides differ, so that the change shows.
        sides = [
            "" if content is None else f"{MASK} ({reason}, {word})\n"
            for content, word in ((change.before, "before"), (change.after, "after"))
        ]
    else:
        sides = list(mask_pair(before, after, secrets))
    return {
        "before": sides[0],
        "after": sides[1],
        "before_header": change.path if change.before is not None else f"{change.path} (absent)",
        "after_header": change.path if change.after is not None else f"{change.path} (absent)",
    }


def result_of(outcome: Outcome, services: dict[str, list[WantedFile]], root: Path) -> dict[str, Any]:
    """Takes what was done, returns the module's result apart from the diff."""
    touched = {
        Path(change.path).relative_to(root).parts[0] for change in outcome.changes if root in Path(change.path).parents
    }
    return {
        "changed": bool(outcome.changes),
        "digests": {name: digest(files) for name, files in services.items()},
        "changed_services": sorted(touched),
        "changes": [{"path": change.path, "what": change.what} for change in outcome.changes],
        "kept": outcome.kept,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "files": payload.ARGUMENT,
        },
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    sent = payload.load(module.params["files"])
    services, secrets = payload.load_files(sent["services"]), sent["secrets"]
    try:
        uid, gid = identity(module.params["owner"], "user"), identity(module.params["group"], "group")
    except KeyError as error:
        module.fail_json(
            msg=f"The host has no such user or group: {error.args[0]}; create it or change owner and group."
        )
    try:
        outcome = reconcile(root, services, sent["disabled"], uid, gid, module.check_mode)
    except TreeError as error:
        module.fail_json(msg=f"Nothing was changed:\n{error}")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or root}: {error.strerror}. Fix this, and run the same again.")
    result = result_of(outcome, services, root)
    if module._diff:
        result["diff"] = [diff_of(change, secrets) for change in outcome.changes]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
