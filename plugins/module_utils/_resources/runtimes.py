# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Runtimes of Qinling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._openstack.runtime import Runtime
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Resource


class Runtimes(Resource):
    """Registered and available runtimes.

    Keys: `endpoint` of Qinling, `auth` of an administrator and optional `ca_cert` (see ARGUMENTS of qinling_api),
    `reader` (the `auth` of a user who can only list runtimes), `engine` (a container, for messages), and `runtimes`,
    each with `name`, `image` and optional `trusted`.
    """

    # Includes the start of workers with a new image.
    WAIT = 120

    def differences(self) -> list[str]:
        """Return the runtimes that are missing, not available, or have another image or trust."""
        present = {runtime["name"]: runtime for runtime in self._client("reader").list("runtime")}
        return [
            f"runtime {desired['name']}"
            for desired in self.desired["runtimes"]
            if not _matches(present.get(desired["name"]) or {}, desired)
        ]

    def apply(self) -> None:
        """Register missing runtimes and change different ones; wait until all are available."""
        api = self._client("auth")
        for desired in self.desired["runtimes"]:
            # Detach functions, so that workers with a new image replace all old ones.
            params = {"trusted": None, "description": None, **desired, "state": "present", "detach": True}
            result = Runtime(api, {**params, "engine": self.desired["engine"]}, self.run.check).run()
            self.done += [f"runtime {desired['name']}: {change}" for change in result["done"]]

    def _client(self, auth: str) -> Any:
        """Return a client that is logged in; `auth` is a key of the desired state."""
        client = self.run.sessions.logged_in(self.desired[auth], self.desired.get("ca_cert"), self.run.wait)
        return client.at(self.desired["endpoint"])


def _matches(runtime: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    trusted = desired.get("trusted")
    return (
        runtime.get("status") == "available"
        and runtime.get("image") == desired["image"]
        and (trusted is None or bool(runtime.get("trusted")) == bool(trusted))
    )
