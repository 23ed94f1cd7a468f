# SPDX-License-Identifier: Apache-2.0
"""Docker's API as the Swarm driver uses it: one method a call, each failure an OrchestratorException with its cause."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import docker.tls
import requests
from docker import errors
from qinling import exceptions as exc

from qinling_kolla import failures
from qinling_kolla.orchestrator import swarm_spec as spec

TIMEOUT_SECONDS = 30
# What Swarm's managers answer (as a 500) to an update made for a version that is no longer the current one.
_STALE = "update out of sequence"


def _reason(error: Exception) -> str:
    if isinstance(error, errors.APIError) and error.explanation:
        return str(error.explanation)
    return str(error) or type(error).__name__


class SwarmClient:
    """A Swarm manager's API. Usable from many threads: each gets its own connection."""

    def __init__(self, options: Any) -> None:
        """``options``: the [swarm] group of the configuration."""
        self._options = options
        self._local = threading.local()
        self._version: str | None = None

    def _connect(self) -> docker.APIClient:
        client = getattr(self._local, "client", None)
        if client is None:
            files = (self._options.tls_cert_file, self._options.tls_key_file)
            tls: Any = False
            if self._options.tls_ca_cert or all(files):
                tls = docker.tls.TLSConfig(
                    client_cert=files if all(files) else None, ca_cert=self._options.tls_ca_cert, verify=True
                )
            client = docker.APIClient(
                base_url=self._options.docker_host, version=self._version or "auto", timeout=TIMEOUT_SECONDS, tls=tls
            )
            self._version = client._version
            self._local.client = client
        return client

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[docker.APIClient]:
        try:
            yield self._connect()
        except (errors.DockerException, requests.RequestException, OSError, ValueError) as error:
            where = self._options.docker_host
            reason = "Docker Swarm " + (
                "refused a request" if isinstance(error, errors.APIError) else "does not answer"
            )
            raise failures.PlatformError(f"Cannot {what} on the Swarm at {where}: {_reason(error)}", reason) from error

    def api_at_least(self, major: int, minor: int) -> bool:
        """Tell whether the daemon speaks this version of the API, or a later one."""
        with self._asking("connect") as client:
            return tuple(int(part) for part in client._version.split(".")) >= (major, minor)

    def check(self, network: str) -> None:
        """Raise OrchestratorException unless this is a manager and the network for functions is there."""
        with self._asking("use the API") as client:
            info = client.info().get("Swarm") or {}
            if not info.get("ControlAvailable"):
                raise exc.OrchestratorException(f"{self._options.docker_host} is not a Swarm manager: see docker_host.")
            found = client.inspect_network(network)
            if found.get("Scope") != "swarm":
                raise exc.OrchestratorException(f"Network {network} is no overlay network: see [swarm] network.")

    def internal(self, network: str) -> bool:
        """Tell whether the network has no way out."""
        with self._asking(f"look for network {network}") as client:
            return bool(client.inspect_network(network).get("Internal"))

    def single_node(self) -> bool:
        """Tell whether the Swarm is this one machine."""
        with self._asking("list nodes") as client:
            return len(client.nodes()) == 1

    def local_image(self, image: str) -> str | None:
        """Return the ID of an image that this machine holds, None when it does not."""
        try:
            with self._asking("look for an image") as client:
                return str(client.inspect_image(image)["Id"])
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                return None
            raise

    def services(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the services that carry all of ``labels``."""
        with self._asking("list services") as client:
            return list(client.services(filters=spec.selector(labels)))

    def service(self, name: str) -> dict[str, Any] | None:
        """Return the service of that name or ID, None when there is none."""
        try:
            with self._asking(f"look for service {name}") as client:
                return dict(client.inspect_service(name))
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                return None
            raise

    def tasks(self, service_ids: list[str]) -> list[dict[str, Any]]:
        """Return the tasks of these services, past ones included; none for no service."""
        if not service_ids:
            return []
        with self._asking("list tasks") as client:
            return list(client.tasks(filters={"service": service_ids}))

    def create(self, service: spec.Spec) -> str:
        """Create a service and return its ID."""
        with self._asking(f"create service {service['Name']}") as client:
            # The credentials of the image's registry, if the Docker config file has any, travel with the request.
            created = client.create_service(
                service["TaskTemplate"],
                name=service["Name"],
                labels=service["Labels"],
                mode=service["Mode"],
                endpoint_spec=service["EndpointSpec"],
            )
            return str(created["ID"])

    def relabel(self, service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """Add labels to a service as it was read; return False when somebody changed or removed it meanwhile."""
        wanted = spec.relabelled(service, labels)
        try:
            with self._asking(f"update service {spec.name_of(service)}") as client:
                client.update_service(
                    service["ID"],
                    service["Version"]["Index"],
                    task_template=wanted["TaskTemplate"],
                    name=wanted["Name"],
                    labels=wanted["Labels"],
                    mode=wanted["Mode"],
                    endpoint_spec=wanted.get("EndpointSpec"),
                )
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound) or _STALE in str(error):
                return False
            raise
        return True

    def remove(self, service_id: str) -> None:
        """Remove a service; one that is gone already is fine."""
        with contextlib.suppress(errors.NotFound), self._asking_unless_gone(f"remove service {service_id}") as client:
            client.remove_service(service_id)

    @contextlib.contextmanager
    def _asking_unless_gone(self, what: str) -> Iterator[docker.APIClient]:
        try:
            with self._asking(what) as client:
                yield client
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                raise error.__cause__ from None
            raise

    def logs(self, service_id: str, most: int) -> str:
        """Return the first ``most`` bytes of what a service's tasks wrote."""
        parts, size = [], 0
        with self._asking(f"read the log of service {service_id}") as client:
            stream = client.service_logs(service_id, stdout=True, stderr=True, follow=False)
            for part in [stream] if isinstance(stream, bytes) else stream:
                parts.append(part)
                size += len(part)
                if size > most:
                    break
        data = b"".join(parts)
        note = "\n... more was dropped\n" if len(data) > most else ""
        return data[:most].decode(errors="replace") + note

    def container(self, container_id: str) -> dict[str, Any] | None:
        """Return a container of this machine, None when it is on another one or gone."""
        try:
            with self._asking("look at a container") as client:
                return dict(client.inspect_container(container_id))
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                return None
            raise

    def pool(self, name: str) -> dict[str, Any] | None:
        """Return the record of a pool, None when there is none."""
        with self._asking("list pools") as client:
            # The filter matches parts of names too.
            found = [item for item in client.configs(filters={"name": name}) if item["Spec"]["Name"] == name]
            return found[0] if found else None

    def save_pool(self, name: str, content: bytes, labels: Mapping[str, str]) -> None:
        """Create the record of a pool, or set its labels."""
        with self._asking(f"save pool {name}") as client:
            found = self.pool(name)
            if found is None:
                client.create_config(name, content, labels=dict(labels))
                return
            # The SDK has no call for it. Only labels may differ in an update of a config.
            wanted = {**found["Spec"], "Labels": dict(labels)}
            response = client._post_json(
                client._url("/configs/{0}/update", found["ID"]),
                data=wanted,
                params={"version": found["Version"]["Index"]},
            )
            client._raise_for_status(response)

    def remove_pool(self, name: str) -> None:
        """Remove the record of a pool; one that is gone already is fine."""
        with contextlib.suppress(errors.NotFound), self._asking_unless_gone(f"remove pool {name}") as client:
            client.remove_config(name)

    def remove_unused_volumes(self, instance: str) -> None:
        """Remove unused volumes of workers from this machine.

        Docker makes each anonymous volume of a task twice and forgets the first, which stays, empty. Its own prune
        passes by volumes that have options. A manager's API does not reach the other nodes' volumes: there they stay,
        without content, until `docker volume ls -q -f dangling=true -f label=qinling.kolla/managed=true` is removed.
        """
        filters = {**spec.selector({spec.MANAGED: "true", spec.INSTANCE: instance}), "dangling": ["true"]}
        with self._asking("remove unused volumes") as client:
            for volume in client.volumes(filters=filters).get("Volumes") or ():
                # One that came into use meanwhile stays.
                with contextlib.suppress(errors.APIError):
                    client.remove_volume(volume["Name"])
