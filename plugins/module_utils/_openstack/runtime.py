# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Register, change or remove a runtime of Qinling, and wait until it is available."""

from __future__ import annotations

from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    ApiObject,
    HttpError,
    QinlingError,
)

_BUSY = ("creating", "upgrading")


def differences(params: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Return the desired values of fields that differ from those of a present runtime.

    Raise QinlingError if Qinling cannot change a field.
    """
    trusted = params["trusted"]
    if trusted is not None and bool(present.get("trusted")) != trusted:
        raise QinlingError(
            f"runtime {params['name']}: trusted is {bool(present.get('trusted'))} and Qinling cannot change that; "
            "remove the runtime (state: absent), or use another name"
        )
    desired = {key: params[key] for key in ("image", "description") if params[key] is not None}
    return {key: value for key, value in desired.items() if value != present.get(key)}


class Runtime(ApiObject):
    """A runtime that is brought to the state in the parameters."""

    def run(self) -> dict[str, Any]:
        """Bring the runtime to the desired state, and return the module's result."""
        present = self.api.find("runtime", self.params["name"])
        if present and present["status"] == "deleting" and not self.check:
            self.wait_until_removed(present["id"])
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
        # A runtime in transition can only be compared after the transition.
        if present and present["status"] in _BUSY and not self.check:
            present = self.wait_until_stable(present)
        if present and present["status"] == "error":
            self.remove(present, "removed because its status was error")
            present = None
        if not present or present["status"] == "deleting":
            return self.create()
        changes = differences(self.params, present)
        if not changes:
            return self.wait_until_available(present) if not self.check else present
        self.done += [f"changed {name} from {present.get(name) or 'nothing'} to {new}" for name, new in changes.items()]
        return {**present, **changes} if self.check else self.change(present, changes)

    def create(self) -> dict[str, Any] | None:
        self.done.append("registered")
        if self.check:
            return None
        fields = ("name", "image", "trusted", "description")
        data = {key: self.params[key] for key in fields if self.params[key] is not None}
        return self.wait_until_available(self.api.send("POST", "/runtimes", data))

    def change(self, present: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        path = f"/runtimes/{present['id']}"
        try:
            runtime = self.api.send("PUT", path, changes)
        except HttpError as error:
            if error.status != 403 or "image" not in changes:
                raise
            if not self.params["detach"]:
                raise QinlingError(
                    f"{error} Functions retain a worker for some time after a call; wait, detach them, or set detach"
                ) from error
            self.detach(present["id"])
            runtime = self.api.send("PUT", path, changes)
        runtime = self.wait_until_available(runtime)
        if "image" in changes and self.api.wait and runtime["image"] != changes["image"]:
            raise QinlingError(
                f"runtime {self.params['name']}: its workers could not be changed to image {changes['image']}; Qinling "
                f"rolled back to {runtime['image']}; see {self.log_hint()}"
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
            self.wait_until_removed(present["id"])

    def wait_until_stable(self, runtime: dict[str, Any]) -> dict[str, Any]:
        """Wait until Qinling has finished creating or upgrading a runtime, and return it with its status."""
        if not self.api.wait:
            return runtime
        last = runtime

        def fetch() -> dict[str, Any] | None:
            nonlocal last
            last = self.api.get(f"/runtimes/{runtime['id']}")
            return None if last["status"] in _BUSY else last

        found: dict[str, Any] = self.api.wait_until(
            fetch,
            lambda: (
                f"runtime {self.params['name']} is still {last['status']} after {self.api.wait} seconds; "
                f"see {self.log_hint()}"
            ),
        )
        return found

    def wait_until_available(self, runtime: dict[str, Any]) -> dict[str, Any]:
        """Wait until a runtime is available, and return it. Raise QinlingError if its status is error."""
        runtime = self.wait_until_stable(runtime)
        if runtime["status"] == "error":
            raise QinlingError(
                f"runtime {self.params['name']}: its workers could not be started from image {runtime['image']}; "
                f"see {self.log_hint()}"
            )
        return runtime

    def wait_until_removed(self, runtime_id: str) -> None:
        if self.api.wait:
            self.api.wait_until(
                lambda: all(item["id"] != runtime_id for item in self.api.list("runtime")),
                lambda: (
                    f"runtime {self.params['name']} is not removed after {self.api.wait} seconds; see {self.log_hint()}"
                ),
            )

    def log_hint(self) -> str:
        return f"docker logs {self.params['engine']}"
