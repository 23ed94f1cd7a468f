# SPDX-License-Identifier: Apache-2.0
"""The calls of Docker's API for the Swarm driver; each failure is an OrchestratorException with its cause."""

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
# The error of Swarm's managers (status 500) for an update of an outdated version.
_STALE = "update out of sequence"


def _reason(error: Exception) -> str:
    if isinstance(error, errors.APIError) and error.explanation:
        return str(error.explanation)
    return str(error) or type(error).__name__


class SwarmClient:
    """A Swarm manager's API. Thread-safe, as each thread has its own connection."""

    def __init__(self, options: Any) -> None:
        """Use ``options``, the [swarm] group of the configuration."""
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
    def _request(self, action: str) -> Iterator[docker.APIClient]:
        try:
            yield self._connect()
        except (errors.DockerException, requests.RequestException, OSError, ValueError) as error:
            where = self._options.docker_host
            reason = "Docker Swarm " + (
                "refused a request" if isinstance(error, errors.APIError) else "does not answer"
            )
            raise failures.PlatformError(
                f"Cannot {action} on the Swarm at {where}: {_reason(error)}", reason
            ) from error

    def api_at_least(self, major: int, minor: int) -> bool:
        """Return whether the daemon supports this or a later version of the API."""
        with self._request("connect") as client:
            return tuple(int(part) for part in client._version.split(".")) >= (major, minor)

    def check(self, network: str) -> None:
        """Raise OrchestratorException unless this is a manager and the functions' network exists."""
        with self._request("use the API") as client:
            info = client.info().get("Swarm") or {}
            if not info.get("ControlAvailable"):
                raise exc.OrchestratorException(f"{self._options.docker_host} is not a Swarm manager: see docker_host.")
            found = client.inspect_network(network)
            if found.get("Scope") != "swarm":
                raise exc.OrchestratorException(f"Network {network} is not an overlay network: see [swarm] network.")

    def internal(self, network: str) -> bool:
        """Return whether the network is internal."""
        with self._request(f"inspect network {network}") as client:
            return bool(client.inspect_network(network).get("Internal"))

    def single_node(self) -> bool:
        """Return whether the Swarm has only one node."""
        with self._request("list nodes") as client:
            return len(client.nodes()) == 1

    def local_image(self, image: str) -> str | None:
        """Return the ID of an image on this host, None if it is missing."""
        try:
            with self._request("inspect an image") as client:
                return str(client.inspect_image(image)["Id"])
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                return None
            raise

    def services(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the services that have all of ``labels``."""
        with self._request("list services") as client:
            return list(client.services(filters=spec.selector(labels)))

    def service(self, name: str) -> dict[str, Any] | None:
        """Return the service with this name or ID, None if it does not exist."""
        try:
            with self._request(f"inspect service {name}") as client:
                return dict(client.inspect_service(name))
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                return None
            raise

    def tasks(self, service_ids: list[str]) -> list[dict[str, Any]]:
        """Return the tasks of these services, including past ones; empty without services."""
        if not service_ids:
            return []
        with self._request("list tasks") as client:
            return list(client.tasks(filters={"service": service_ids}))

    def create(self, service: spec.Spec) -> str:
        """Create a service and return its ID."""
        with self._request(f"create service {service['Name']}") as client:
            # The request includes credentials of the image's registry from the Docker config file.
            created = client.create_service(
                service["TaskTemplate"],
                name=service["Name"],
                labels=service["Labels"],
                mode=service["Mode"],
                endpoint_spec=service["EndpointSpec"],
            )
            return str(created["ID"])

    def relabel(self, service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """Add labels to a service; return False if it was changed or removed after ``service`` was read."""
        updated = spec.relabelled(service, labels)
        try:
            with self._request(f"update service {spec.name_of(service)}") as client:
                client.update_service(
                    service["ID"],
                    service["Version"]["Index"],
                    task_template=updated["TaskTemplate"],
                    name=updated["Name"],
                    labels=updated["Labels"],
                    mode=updated["Mode"],
                    endpoint_spec=updated.get("EndpointSpec"),
                )
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound) or _STALE in str(error):
                return False
            raise
        return True

    def remove(self, service_id: str) -> None:
        """Remove a service if it exists."""
        with contextlib.suppress(errors.NotFound), self._request_unless_gone(f"remove service {service_id}") as client:
            client.remove_service(service_id)

    @contextlib.contextmanager
    def _request_unless_gone(self, action: str) -> Iterator[docker.APIClient]:
        try:
            with self._request(action) as client:
                yield client
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                raise error.__cause__ from None
            raise

    def logs(self, service_id: str, limit: int) -> str:
        """Return the first ``limit`` bytes of the log of a service's tasks."""
        parts, size = [], 0
        with self._request(f"read the log of service {service_id}") as client:
            stream = client.service_logs(service_id, stdout=True, stderr=True, follow=False)
            for part in [stream] if isinstance(stream, bytes) else stream:
                parts.append(part)
                size += len(part)
                if size > limit:
                    break
        data = b"".join(parts)
        note = "\n... more was dropped\n" if len(data) > limit else ""
        return data[:limit].decode(errors="replace") + note

    def container(self, container_id: str) -> dict[str, Any] | None:
        """Return a container on this host, None if it is on another host or gone."""
        try:
            with self._request("inspect a container") as client:
                return dict(client.inspect_container(container_id))
        except exc.OrchestratorException as error:
            if isinstance(error.__cause__, errors.NotFound):
                return None
            raise

    def pool(self, name: str) -> dict[str, Any] | None:
        """Return the record of a pool, None if it does not exist."""
        with self._request("list pools") as client:
            # The filter also matches parts of names.
            found = [item for item in client.configs(filters={"name": name}) if item["Spec"]["Name"] == name]
            return found[0] if found else None

    def save_pool(self, name: str, content: bytes, labels: Mapping[str, str]) -> None:
        """Create the record of a pool, or update its labels."""
        with self._request(f"save pool {name}") as client:
            found = self.pool(name)
            if found is None:
                client.create_config(name, content, labels=dict(labels))
                return
            # The SDK has no method for this. An update of a config may change only its labels.
            updated = {**found["Spec"], "Labels": dict(labels)}
            response = client._post_json(
                client._url("/configs/{0}/update", found["ID"]),
                data=updated,
                params={"version": found["Version"]["Index"]},
            )
            client._raise_for_status(response)

    def remove_pool(self, name: str) -> None:
        """Remove the record of a pool if it exists."""
        with contextlib.suppress(errors.NotFound), self._request_unless_gone(f"remove pool {name}") as client:
            client.remove_config(name)

    def remove_unused_volumes(self, instance: str) -> None:
        """Remove unused volumes of workers from this host.

        Docker creates each anonymous volume of a task twice and leaves the first one empty and unused. Its own prune
        skips volumes with options. A manager's API does not reach volumes of other nodes, where they stay, empty, until
        the output of `docker volume ls -q -f dangling=true -f label=qinling.kolla/managed=true` is removed.
        """
        filters = {**spec.selector({spec.MANAGED: "true", spec.INSTANCE: instance}), "dangling": ["true"]}
        with self._request("remove unused volumes") as client:
            for volume in client.volumes(filters=filters).get("Volumes") or ():
                # A volume that is in use by now is not removed.
                with contextlib.suppress(errors.APIError):
                    client.remove_volume(volume["Name"])
