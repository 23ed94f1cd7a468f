# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Qinling's runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._openstack.runtime import Runtime
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Resource


class Runtimes(Resource):
    """Runtimes that are registered and available.

    Keys: `endpoint` of Qinling, `auth` of an administrator and maybe `ca_cert` (see ARGUMENTS of qinling_api),
    `reader`, which is how a user logs in who only lists them, `engine` (a container, for messages), and `runtimes`,
    each with `name`, `image`, and maybe `trusted`.
    """

    # Workers of a new image are started meanwhile.
    WAIT = 120

    def differences(self) -> list[str]:
        """List the runtimes."""
        present = {runtime["name"]: runtime for runtime in self._client("reader").list("runtime")}
        return [
            f"runtime {wanted['name']}"
            for wanted in self.desired["runtimes"]
            if not _fits(present.get(wanted["name"]) or {}, wanted)
        ]

    def apply(self) -> None:
        """Register what is missing and change what differs; wait until all are available."""
        api = self._client("auth")
        for wanted in self.desired["runtimes"]:
            # All workers are replaced by workers of a new image; functions may not keep old ones.
            params = {"trusted": None, "description": None, **wanted, "state": "present", "detach": True}
            result = Runtime(api, {**params, "engine": self.desired["engine"]}, self.run.check).run()
            self.done += [f"runtime {wanted['name']}: {what}" for what in result["done"]]

    def _client(self, auth: str) -> Any:
        """Return a client that is logged in with the key `auth`."""
        client = self.run.sessions.logged_in(self.desired[auth], self.desired.get("ca_cert"), self.run.wait)
        return client.at(self.desired["endpoint"])


def _fits(runtime: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    trusted = wanted.get("trusted")
    return (
        runtime.get("status") == "available"
        and runtime.get("image") == wanted["image"]
        and (trusted is None or bool(runtime.get("trusted")) == bool(trusted))
    )
