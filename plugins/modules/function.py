# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: function
short_description: Create a function at Qinling, change or remove it
version_added: 0.1.0
description:
  - Makes a package of files, or takes one that is there, and creates a function of it.
  - The package is uploaded again only when the MD5 that Qinling keeps of it is another.
author:
  - the qinling.kolla authors
extends_documentation_fragment:
  - qinling.kolla.qinling_api
  - qinling.kolla.qinling_api.change
options:
  name:
    description: Name of the function. Its ID may be given to change or remove it.
    type: str
    required: true
  runtime:
    description:
      - Name or ID of the runtime. Required with O(state=present).
      - Qinling can not move a function to another runtime.
    type: str
  entry:
    description: What is called, a module of the package and a function of it.
    type: str
    default: main.main
  files:
    description:
      - Files of the package, the path in it to the text.
      - The same files make the same package, on every host.
    type: dict
  package:
    description: A zip archive on the host of the task.
    type: path
  description:
    description: A description. Left out, it stays as it is.
    type: str
  cpu:
    description: Thousandths of a CPU. Left out, a new function gets Qinling's default, and an old one keeps its own.
    type: int
  memory_size:
    description: Bytes of memory; left out as O(cpu).
    type: int
  timeout:
    description: Seconds that a call may take; left out as O(cpu).
    type: int
  state:
    description: Whether there has to be the function.
    type: str
    choices: [present, absent]
    default: present
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
  description: The function as Qinling tells of it.
  returned: success, when there is one
  type: dict
  sample:
    id: 6c3e4f0e-8f6d-4a3b-9f55-0a1b2c3d4e5f
    name: hello
    entry: main.main
    runtime_id: 2f5b8a2e-6f0e-4d4a-b6c0-1f2d3c4b5a69
    code: {source: package, md5sum: 0cc175b9c0f1b6a831c399e269772661}
done:
  description: What was done, or would be.
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
_PLAIN = ("entry", "description", "cpu", "memory_size", "timeout")


def zip_of(files: dict[str, Any]) -> bytes:
    """Takes paths and texts, returns a zip archive of them that is the same every time."""
    problems = []
    for name, text in files.items():
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or name.endswith("/"):
            problems.append(f"files: {name!r} has to be a relative path of a file, with slashes and without '..'")
        if not isinstance(text, str):
            problems.append(f"files: {name} has to be text, not {type(text).__name__}; use package for anything else")
    if not files:
        problems.append("files: there has to be at least one")
    if problems:
        raise QinlingError("; ".join(problems))
    buffer = io.BytesIO()
    # Not compressed: zlib's output differs between its versions, and so would the MD5 on the next host.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name].encode())
    return buffer.getvalue()


def read_package(path: str) -> bytes:
    """Takes a path, returns the zip archive there."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise QinlingError(f"package: {path} can not be read: {error.strerror}") from error
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise QinlingError(f"package: {path} is not a zip archive")
    return content


def md5(content: bytes) -> str:
    """Takes bytes, returns their MD5 as Qinling tells it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def decoded(function: dict[str, Any]) -> dict[str, Any]:
    """Takes a function as Qinling tells of it, returns it with ``code`` as data: lists have it as JSON in a text."""
    code = function.get("code") or {}
    return {**function, "code": json.loads(code) if isinstance(code, str) else code}


def differences(params: dict[str, Any], present: dict[str, Any]) -> dict[str, str]:
    """Takes what is wanted and what there is, returns the plain fields to change, as the form takes them."""
    wanted = {key: str(params[key]) for key in _PLAIN if params[key] is not None}
    return {key: value for key, value in wanted.items() if value != str(present.get(key) or "")}


class Function(ApiObject):
    """One function, brought to what the parameters say."""

    def run(self) -> dict[str, Any]:
        """Returns the module's result."""
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
        self.same_runtime(present)
        if present["code"]["source"] != "package":
            raise QinlingError(
                f"function {self.params['name']} is of source {present['code']['source']}, and Qinling can not make it "
                "one of a package; remove it (state: absent), or give this one another name"
            )
        fields = differences(self.params, present)
        new_package = present["code"].get("md5sum") != md5(content)
        self.done += [f"changed {name}" for name in [*(["package"] if new_package else []), *fields]]
        if not self.done or self.check:
            return present
        if new_package:
            fields["code"] = json.dumps({"source": "package", "md5sum": md5(content)})
        path = f"/functions/{present['id']}"
        return self.kept(self.api.send_form("PUT", path, fields, content if new_package else None), content)

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
        return self.kept(self.api.send_form("POST", "/functions", fields, content), content)

    def kept(self, function: dict[str, Any], content: bytes) -> dict[str, Any]:
        """Takes Qinling's answer and the package, returns the answer; raises when another package arrived."""
        function = decoded(function)
        found = function["code"].get("md5sum")
        if found != md5(content):
            raise QinlingError(
                f"function {self.params['name']}: Qinling has a package of MD5 {found}, sent was {md5(content)}; "
                "what is between here and the API changes uploads"
            )
        return function

    def same_runtime(self, present: dict[str, Any]) -> None:
        runtime = self.api.need("runtime", self.params["runtime"])
        if present["runtime_id"] != runtime["id"]:
            raise QinlingError(
                f"function {self.params['name']} is on runtime {present['runtime_id']}, not on {runtime['id']} "
                f"({self.params['runtime']}), and Qinling can not move it; remove it (state: absent), or give this one "
                "another name"
            )

    def ready_runtime(self) -> str:
        """Returns the ID of the runtime once it is available, which Qinling demands of a new function."""
        status = ""

        def look() -> str:
            nonlocal status
            runtime = self.api.need("runtime", self.params["runtime"])
            status = runtime["status"]
            return str(runtime["id"]) if status not in ("creating", "upgrading") else ""

        runtime_id: str = self.api.until(
            look, lambda: f"runtime {self.params['runtime']} still is {status} after {self.api.wait} seconds"
        )
        if status != "available":
            raise QinlingError(f"runtime {self.params['runtime']} can not be used: its status is {status}")
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
