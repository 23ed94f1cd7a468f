#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Manage the configuration files of services
version_added: 0.1.0
description:
  - Synchronizes the services' directories on the host with the files that M(qinling.kolla.plan) has rendered. Other
    files in these directories are removed.
  - Directories of this module contain the marker C(.qinling.kolla). The directory of a service that is not enabled is
    removed only if it has the marker; otherwise it is left unchanged and returned in RV(retained).
  - Directories have mode C(0770). Files are replaced atomically. Symbolic links are not followed.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes
options:
  root:
    description: Parent directory of the services' directories on the host.
    type: path
    required: true
  owner:
    description: Name or number of the owner of directories and files. The default leaves the owner unchanged.
    type: str
  group:
    description: Name or number of the group of directories and files. The default leaves the group unchanged.
    type: str
  files:
    description:
      - The files, as the plan returns them in C(configuration) of a project. They contain secrets and are never shown.
    type: str
    required: true
attributes:
  diff_mode:
    support: full
    description: Shows diffs with masked secrets; a changed secret is marked as changed.
seealso:
  - module: qinling.kolla.plan
  - module: qinling.kolla.service_backup
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
  description: Services with a file or directory that was created, changed or removed, or whose mode or owner changed.
  returned: success
  type: list
  elements: str
changes:
  description: The changes, each with the path and the kind of change.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/etc/kolla/qinling-api/qinling.conf", "what": "changed"}]
retained:
  description: Directories of services that are not enabled, which were left unchanged because they have no marker.
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
    DesiredFile,
    DirectoryError,
    Outcome,
    digest,
    identity,
    reconcile,
)
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import MASK, mask_pair


def text_of(content: bytes | None) -> str | None:
    """Return a file's content as text; None if it is binary."""
    try:
        return (content or b"").decode("utf-8") if b"\0" not in (content or b"") else None
    except UnicodeDecodeError:
        return None


def diff_of(change: Change, secrets: list[str]) -> dict[str, str]:
    """Return a change in Ansible's format of a diff, with masked secrets."""
    if change.before is None and change.after is None:
        return {"prepared": f"{change.path}: {change.what}\n"}
    before, after = text_of(change.before), text_of(change.after)
    if change.what == "removed":
        # A removed file has no desired state that marks it as secret.
        sides = [f"{MASK} (removed, not shown)\n", ""]
    elif change.secret or before is None or after is None:
        reason = "secret" if change.secret else "binary"
        # Both sides differ, so that the diff shows the change.
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


def result_of(outcome: Outcome, services: dict[str, list[DesiredFile]], root: Path) -> dict[str, Any]:
    """Return the module's result without the diff."""
    touched = {
        Path(change.path).relative_to(root).parts[0] for change in outcome.changes if root in Path(change.path).parents
    }
    return {
        "changed": bool(outcome.changes),
        "digests": {name: digest(files) for name, files in services.items()},
        "changed_services": sorted(touched),
        "changes": [{"path": change.path, "what": change.what} for change in outcome.changes],
        "retained": outcome.retained,
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
            msg=f"The user or group does not exist on the host: {error.args[0]}; create it or change owner and group."
        )
    try:
        outcome = reconcile(root, services, sent["disabled"], uid, gid, module.check_mode)
    except DirectoryError as error:
        module.fail_json(msg=f"Nothing was changed:\n{error}")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or root}: {error.strerror}; correct the cause and run the task again.")
    result = result_of(outcome, services, root)
    if module._diff:
        result["diff"] = [diff_of(change, secrets) for change in outcome.changes]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
