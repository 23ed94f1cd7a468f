# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: function
short_description: Create, update or remove a Qinling function
version_added: 0.1.0
description:
  - Creates a function from an existing package, or from files that the module packs.
  - A package is uploaded again only if its MD5 differs from the MD5 that Qinling has stored.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes
  - qinling.kolla.qinling_api
options:
  name:
    description: Name of the function. An existing function may also be identified by its ID.
    type: str
    required: true
  runtime:
    description:
      - Name or ID of the runtime. Required with O(state=present).
      - Qinling cannot move a function to another runtime.
    type: str
  entry:
    description: Entry point, as C(module.function) of the package.
    type: str
    default: main.main
  files:
    description:
      - Files of the package, as a mapping of path to text.
      - The same files result in the same package on every host.
    type: dict
  package:
    description: Path of a zip archive on the host that runs the task.
    type: path
  description:
    description: Description. If omitted, it is not changed.
    type: str
  cpu:
    description:
      - CPU limit in thousandths of a CPU. If omitted, a new function gets Qinling's default, and the value of an
        existing function is not changed.
    type: int
  memory_size:
    description: Memory limit in bytes. If omitted, the same rule applies as for O(cpu).
    type: int
  timeout:
    description: Timeout of an execution in seconds. If omitted, the same rule applies as for O(cpu).
    type: int
  state:
    description: Whether the function exists.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: qinling.kolla.execution
  - module: qinling.kolla.runtime
"""

EXAMPLES = r"""
- name: Sample | Create the function
  qinling.kolla.function:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: hello
    runtime: python3
    files:
      main.py: |
        def main(name="World", **kwargs):
            return f"Hello, {name}"

- name: Sample | Create a function from an archive
  qinling.kolla.function:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: thumbnails
    runtime: python3
    entry: thumbnails.on_upload
    package: /srv/functions/thumbnails.zip
    timeout: 30
"""

RETURN = r"""
function:
  description: The function as Qinling returns it.
  returned: success, if the function exists
  type: dict
  sample:
    id: 6c3e4f0e-8f6d-4a3b-9f55-0a1b2c3d4e5f
    name: hello
    entry: main.main
    runtime_id: 2f5b8a2e-6f0e-4d4a-b6c0-1f2d3c4b5a69
    code: {source: package, md5sum: 0cc175b9c0f1b6a831c399e269772661}
done:
  description: The changes, in check mode the expected ones.
  returned: success
  type: list
  elements: str
  sample: [changed package, changed timeout]
"""

import hashlib
import io
import json
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    ARGUMENTS,
    STATE_ARGUMENT,
    ApiObject,
    QinlingError,
    finish,
)

OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "runtime": {"type": "str"},
    "entry": {"type": "str", "default": "main.main"},
    "files": {"type": "dict"},
    "package": {"type": "path"},
    "description": {"type": "str"},
    "cpu": {"type": "int"},
    "memory_size": {"type": "int"},
    "timeout": {"type": "int"},
    **STATE_ARGUMENT,
}
_FIELDS = ("entry", "description", "cpu", "memory_size", "timeout")


def zip_of(files: dict[str, Any]) -> bytes:
    """Return a reproducible zip archive of files (path to text). Raise QinlingError if a path or text is invalid."""
    problems = []
    for name, text in files.items():
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or name.endswith("/"):
            problems.append(f"files: {name!r} is invalid; expected a relative path with slashes and without '..'")
        if not isinstance(text, str):
            problems.append(f"files: {name} is {type(text).__name__}; expected text; use package for other content")
    if not files:
        problems.append("files: empty; expected at least one file")
    if problems:
        raise QinlingError("; ".join(problems))
    buffer = io.BytesIO()
    # Not compressed: zlib's output, and thus the MD5, differs between its versions.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name].encode())
    return buffer.getvalue()


def read_package(path: str) -> bytes:
    """Return the content of a zip archive. Raise QinlingError if it cannot be read or is not a zip archive."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise QinlingError(f"package: {path} cannot be read: {error.strerror}") from error
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise QinlingError(f"package: {path} is not a zip archive")
    return content


def md5(content: bytes) -> str:
    """Return the MD5 in Qinling's format."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def decoded(function: dict[str, Any]) -> dict[str, Any]:
    """Return a function of Qinling with ``code`` as data; Qinling's lists contain it as a text with JSON."""
    code = function.get("code") or {}
    return {**function, "code": json.loads(code) if isinstance(code, str) else code}


def differences(params: dict[str, Any], present: dict[str, Any]) -> dict[str, str]:
    """Return the desired values of fields that differ from those of a present function, as texts for the form."""
    desired = {key: str(params[key]) for key in _FIELDS if params[key] is not None}
    return {key: value for key, value in desired.items() if value != str(present.get(key) or "")}


class Function(ApiObject):
    """A function that is brought to the state in the parameters."""

    def run(self) -> dict[str, Any]:
        """Bring the function to the desired state, and return the module's result."""
        if self.params["state"] == "absent":
            self.absent()
            function = None
        else:
            files, package = self.params["files"], self.params["package"]
            function = self.present(zip_of(files) if package is None else read_package(package))
        return self.result("function", function)

    def absent(self) -> None:
        present = self.api.find("function", self.params["name"])
        if present:
            self.done.append("removed")
            if not self.check:
                self.api.send("DELETE", f"/functions/{present['id']}")

    def present(self, content: bytes) -> dict[str, Any] | None:
        found = self.api.find("function", self.params["name"])
        if not found:
            return self.create(content)
        present = decoded(found)
        self.check_runtime(present)
        if present["code"]["source"] != "package":
            raise QinlingError(
                f"function {self.params['name']}: its source is {present['code']['source']}, and Qinling cannot change "
                "the source to package; remove the function (state: absent), or use another name"
            )
        fields = differences(self.params, present)
        new_package = present["code"].get("md5sum") != md5(content)
        self.done += [f"changed {name}" for name in [*(["package"] if new_package else []), *fields]]
        if not self.done or self.check:
            return present
        if new_package:
            fields["code"] = json.dumps({"source": "package", "md5sum": md5(content)})
        path = f"/functions/{present['id']}"
        return self.verify(self.api.send_form("PUT", path, fields, content if new_package else None), content)

    def create(self, content: bytes) -> dict[str, Any] | None:
        self.done.append("created")
        if self.check:
            return None
        fields = {
            "name": self.params["name"],
            "runtime_id": self.ready_runtime(),
            "code": json.dumps({"source": "package", "md5sum": md5(content)}),
            **differences(self.params, {}),
        }
        return self.verify(self.api.send_form("POST", "/functions", fields, content), content)

    def verify(self, function: dict[str, Any], content: bytes) -> dict[str, Any]:
        """Return the function of Qinling's response. Raise QinlingError if Qinling received another package."""
        function = decoded(function)
        found = function["code"].get("md5sum")
        if found != md5(content):
            raise QinlingError(
                f"function {self.params['name']}: Qinling has a package with MD5 {found}; expected {md5(content)}; "
                "check whether a proxy modifies uploads"
            )
        return function

    def check_runtime(self, present: dict[str, Any]) -> None:
        """Raise QinlingError if a present function has another runtime than the parameters."""
        runtime = self.api.require("runtime", self.params["runtime"])
        if present["runtime_id"] != runtime["id"]:
            raise QinlingError(
                f"function {self.params['name']}: its runtime is {present['runtime_id']}; expected {runtime['id']} "
                f"({self.params['runtime']}); Qinling cannot move a function; remove the function (state: absent), or "
                "use another name"
            )

    def ready_runtime(self) -> str:
        """Wait until the runtime is available, which Qinling requires for a new function, and return its ID."""
        status = ""

        def fetch() -> str:
            nonlocal status
            runtime = self.api.require("runtime", self.params["runtime"])
            status = runtime["status"]
            return str(runtime["id"]) if status not in ("creating", "upgrading") else ""

        runtime_id: str = self.api.wait_until(
            fetch, lambda: f"runtime {self.params['runtime']} is still {status} after {self.api.wait} seconds"
        )
        if status != "available":
            raise QinlingError(f"runtime {self.params['runtime']}: status {status}; expected available")
        return runtime_id


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENTS, **OPTIONS},
        mutually_exclusive=[("files", "package")],
        required_if=[("state", "present", ["runtime"]), ("state", "present", ["files", "package"], True)],
        supports_check_mode=True,
    )
    finish(module, lambda api: Function(api, module.params, module.check_mode).run())


if __name__ == "__main__":
    main()
