# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime
short_description: Register a runtime at Qinling, change or remove it
version_added: 0.1.0
description:
  - Registers a runtime under a name, and waits until its workers are available.
  - A changed image is rolled out to its workers. When that fails, Qinling goes back to the former image, which this
    module tells as a failure.
  - A runtime whose status is V(error) is removed and registered again, which gives it a new ID.
author:
  - the qinling.kolla authors
extends_documentation_fragment:
  - qinling.kolla.qinling_api
  - qinling.kolla.qinling_api.engine
  - qinling.kolla.qinling_api.change
options:
  name:
    description: Name of the runtime. Its ID may be given to change or remove it.
    type: str
    required: true
  image:
    description: Image of its workers. Required with O(state=present).
    type: str
  trusted:
    description:
      - Whether functions on it get credentials to act for their owner. Qinling's default is V(true).
      - Can not be changed later; left out, it is not compared.
    type: bool
  description:
    description: A description. Left out, it stays as it is.
    type: str
  state:
    description: Whether there has to be the runtime. One that functions use can not be removed.
    type: str
    choices: [present, absent]
    default: present
  detach:
    description:
      - Whether functions give their workers back when the image changes. Calls that are running are lost then.
      - Otherwise a change of the image fails as long as a function has a worker of the runtime.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Runtimes | Register Python
  qinling.kolla.runtime:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: python3
    image: "{{ qinling_runtime_python3_image_full }}"

- name: Runtimes | Remove what nobody uses
  qinling.kolla.runtime:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    name: python2
    state: absent
"""

RETURN = r"""
runtime:
  description: The runtime as Qinling tells of it.
  returned: success, when there is one
  type: dict
  sample:
    id: 2f5b8a2e-6f0e-4d4a-b6c0-1f2d3c4b5a69
    name: python3
    image: qinling/qinling-runtime-python3:victoria
    status: available
    trusted: true
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: [removed because its status was error, registered]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    ARGUMENTS,
    ENGINE_ARGUMENT,
    STATE_ARGUMENT,
    HttpError,
    QinlingError,
    Resource,
    finish,
)

OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "trusted": {"type": "bool"},
    "description": {"type": "str"},
    **STATE_ARGUMENT,
    "detach": {"type": "bool", "default": False},
    **ENGINE_ARGUMENT,
}
_BUSY = ("creating", "upgrading")


def differences(params: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Takes what is wanted and what there is, returns the fields to change; raises for what Qinling can not change."""
    trusted = params["trusted"]
    if trusted is not None and bool(present.get("trusted")) != trusted:
        raise QinlingError(
            f"runtime {params['name']}: trusted is {bool(present.get('trusted'))} and Qinling can not change that; "
            "remove the runtime (state: absent), or give this one another name"
        )
    wanted = {key: params[key] for key in ("image", "description") if params[key] is not None}
    return {key: value for key, value in wanted.items() if value != present.get(key)}


class Runtime(Resource):
    """One runtime, brought to what the parameters say."""

    def run(self) -> dict[str, Any]:
        """Returns the module's result."""
        present = self.api.find("runtime", self.params["name"])
        if present and present["status"] == "deleting" and not self.check:
            self.wait_gone(present["id"])
            present = None
        runtime = None
        if self.params["state"] == "absent":
            self.absent(present)
        else:
            runtime = self.present(present)
        return self.result("runtime", runtime)

    def absent(self, present: dict[str, Any] | None) -> None:
        if present and present["status"] != "deleting":
            self.remove(present, "removed")

    def present(self, present: dict[str, Any] | None) -> dict[str, Any] | None:
        # Of one that is just being made or changed, only the outcome can be judged.
        if present and present["status"] in _BUSY and not self.check:
            present = self.settled(present)
        if present and present["status"] == "error":
            self.remove(present, "removed because its status was error")
            present = None
        if not present or present["status"] == "deleting":
            return self.create()
        changes = differences(self.params, present)
        if not changes:
            return self.available(present) if not self.check else present
        self.done += [f"changed {name} from {present.get(name) or 'nothing'} to {new}" for name, new in changes.items()]
        return {**present, **changes} if self.check else self.change(present, changes)

    def create(self) -> dict[str, Any] | None:
        self.done.append("registered")
        if self.check:
            return None
        fields = ("name", "image", "trusted", "description")
        data = {key: self.params[key] for key in fields if self.params[key] is not None}
        return self.available(self.api.send("POST", "/runtimes", data))

    def change(self, present: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        path = f"/runtimes/{present['id']}"
        try:
            runtime = self.api.send("PUT", path, changes)
        except HttpError as error:
            if error.status != 403 or "image" not in changes:
                raise
            if not self.params["detach"]:
                raise QinlingError(
                    f"{error} Functions keep a worker for a while after a call; wait, detach them, or set detach"
                ) from error
            self.detach(present["id"])
            runtime = self.api.send("PUT", path, changes)
        runtime = self.available(runtime)
        if "image" in changes and self.api.wait and runtime["image"] != changes["image"]:
            raise QinlingError(
                f"runtime {self.params['name']}: its workers could not be changed to image {changes['image']}; Qinling "
                f"went back to {runtime['image']}. See {self.log_hint()}"
            )
        return runtime

    def detach(self, runtime_id: str) -> None:
        for function in self.api.get("/functions?all_projects=true")["functions"]:
            if function.get("runtime_id") == runtime_id:
                self.api.send("POST", f"/functions/{function['id']}/detach")

    def remove(self, present: dict[str, Any], note: str) -> None:
        self.done.append(note)
        if not self.check:
            self.api.send("DELETE", f"/runtimes/{present['id']}")
            self.wait_gone(present["id"])

    def settled(self, runtime: dict[str, Any]) -> dict[str, Any]:
        """Takes a runtime, returns it once Qinling has finished with it, whatever the outcome."""
        if not self.api.wait:
            return runtime
        last = runtime

        def look() -> dict[str, Any] | None:
            nonlocal last
            last = self.api.get(f"/runtimes/{runtime['id']}")
            return None if last["status"] in _BUSY else last

        found: dict[str, Any] = self.api.until(
            look,
            lambda: (
                f"runtime {self.params['name']} still is {last['status']} after {self.api.wait} seconds; "
                f"see {self.log_hint()}"
            ),
        )
        return found

    def available(self, runtime: dict[str, Any]) -> dict[str, Any]:
        """Takes a runtime, returns it once it is available; raises when that failed."""
        runtime = self.settled(runtime)
        if runtime["status"] == "error":
            raise QinlingError(
                f"runtime {self.params['name']}: its workers could not be started from image {runtime['image']}; "
                f"see {self.log_hint()}"
            )
        return runtime

    def wait_gone(self, runtime_id: str) -> None:
        if self.api.wait:
            self.api.until(
                lambda: all(item["id"] != runtime_id for item in self.api.list("runtime")),
                lambda: (
                    f"runtime {self.params['name']} is not removed after {self.api.wait} seconds; see {self.log_hint()}"
                ),
            )

    def log_hint(self) -> str:
        return f"docker logs {self.params['engine']}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENTS, **OPTIONS},
        required_if=[("state", "present", ["image"])],
        supports_check_mode=True,
    )
    finish(module, lambda api: Runtime(api, module.params, module.check_mode).run())


if __name__ == "__main__":
    main()
