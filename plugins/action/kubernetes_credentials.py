# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage a client certificate of a Kubernetes cluster on the controller; the private key never leaves it."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.qinling.kolla.plugins.module_utils._config.atomic_write import write_temporary
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action, option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import missing_package
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import to_bool
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates, credentials
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes.credentials import (
    CredentialsError,
    RefusedError,
)

_OPTIONS = frozenset(
    {"kubeconfig", "context", "directory", "user", "state", "renew", "renew_days", "days", "encrypt", "wait"}
)
_MODE = 0o600


class Cluster:
    """The cluster of a kubeconfig. Its errors have no cause, which Ansible would print a second time."""

    def __init__(self, kubeconfig: str, context: str | None) -> None:
        try:
            import urllib3
            from kubernetes import client, config  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise CredentialsError(missing_package("kubernetes", error)) from None
        if not Path(kubeconfig).is_file():
            raise CredentialsError(
                f"{kubeconfig} does not exist; set qinling_kubernetes_admin_kubeconfig, or KUBECONFIG in the "
                "environment, to the kubeconfig of an administrator"
            )
        try:
            self._api = config.new_client_from_config(config_file=kubeconfig, context=context, persist_config=False)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise CredentialsError(f"{kubeconfig} is not a kubeconfig: not YAML{line}") from None
        except (config.ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
            raise CredentialsError(f"{kubeconfig} is not a usable kubeconfig: {error}") from None
        self._exception = client.ApiException
        self._unreachable = (urllib3.exceptions.HTTPError, OSError)
        self._kubeconfig = kubeconfig
        self.address = str(self._api.configuration.host)

    def authorities(self) -> bytes:
        """Return the CA of the kubeconfig. Raise CredentialsError if the server is not verified."""
        configuration = self._api.configuration
        if not configuration.ssl_ca_cert or not configuration.verify_ssl:
            raise CredentialsError(
                f"{self._kubeconfig} has no CA for {self.address}, but Qinling verifies the server; add the cluster's "
                "CA as certificate-authority-data (and remove insecure-skip-tls-verify)"
            )
        return Path(configuration.ssl_ca_cert).read_bytes()

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the content of the response. Raise CredentialsError if the request fails."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            return self._api.call_api(
                path,
                method,
                header_params=headers,
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=30,
            )
        except self._exception as error:
            try:
                text = json.loads(error.body)["message"]
            except (TypeError, ValueError, KeyError):
                text = error.reason
            raise RefusedError(
                int(error.status or 0),
                (
                    f"{self.address} responds with {error.status} to {method} {path}: {text}; "
                    f"is {self._kubeconfig} an administrator's?"
                ),
            ) from None
        except self._unreachable as error:
            # The error of the last retry of urllib3.
            reason = getattr(error, "reason", None) or error
            raise CredentialsError(f"{self.address} of {self._kubeconfig} cannot be used: {reason}") from None


class ActionModule(Action):
    """Thin glue between Ansible, the `kubernetes` client and `credentials`."""

    _requires_connection = False
    _supports_diff = True

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        del task_vars
        problems = option_problems(args, _OPTIONS, ("kubeconfig", "directory", "user"))
        if args.get("state", "present") not in {"present", "absent"}:
            problems.append("state must be present or absent")
        if certificates.MISSING_LIBRARY:
            problems.append(certificates.MISSING_LIBRARY)
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.kubernetes_credentials: {'; '.join(problems)}")

        try:
            result.update(self._reconcile(args))
        except CredentialsError as error:
            result.update(failed=True, msg=f"No file was changed: {error}")
        return result

    def _reconcile(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Create or remove the files, and return the result. Raise CredentialsError on failure."""
        directory = Path(str(args["directory"])).expanduser()
        absent = args.get("state", "present") == "absent"
        files = {role: self._file(directory / name, absent) for role, name in certificates.NAMES.items()}
        verdict = certificates.examine(files, datetime.now(timezone.utc), 0)
        before = {"user": verdict.user, "expires": certificates.day(verdict.expires) if verdict.expires else ""}
        kubeconfig = str(Path(str(args["kubeconfig"])).expanduser())
        cluster = Cluster(kubeconfig, str(args.get("context") or "") or None)
        authorities = b"" if absent else cluster.authorities()
        # Fail early: in either state, the caller changes the cluster next.
        cluster.request("GET", "/version")
        outcome = self._absent(files, str(args["user"])) if absent else self._present(cluster, authorities, args, files)
        outcome = {**before, **outcome}
        if self._task.diff:
            after = {} if absent and outcome["changed"] else {key: outcome[key] for key in before}
            outcome["diff"] = {
                "before_header": str(directory),
                "after_header": str(directory),
                "before": _diff_text(before),
                "after": _diff_text(after),
            }
        return outcome

    def _file(self, path: Path, as_it_is: bool) -> certificates.File:
        """Return the file, decrypted unless `as_it_is` is set (removing a file needs no vault password)."""
        if not path.exists():
            return certificates.File(str(path))
        if as_it_is:
            return certificates.File(str(path), path.read_bytes())
        try:
            content, _was_plain = self._loader._get_file_contents(str(path))
        except AnsibleError as error:
            raise CredentialsError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
        return certificates.File(str(path), bytes(content))

    def _absent(self, files: Mapping[str, certificates.File], user: str) -> dict[str, Any]:
        """Remove the files if they belong to `user`, and return the result."""
        if not credentials.belongs_to(files["certificate"].content, user):
            return {"changed": False, "reason": f"no certificate of {user} exists", "files": []}
        paths = [Path(file.path) for file in files.values() if file.content is not None]
        if not self._task.check_mode:
            for path in paths:
                path.unlink()
        return {"changed": True, "reason": "state is absent", "files": [str(path) for path in paths]}

    def _present(
        self, cluster: Cluster, server: bytes, args: Mapping[str, Any], files: Mapping[str, certificates.File]
    ) -> dict[str, Any]:
        user, now = str(args["user"]), datetime.now(timezone.utc)
        clients = credentials.client_authorities(cluster.request)
        current = files["certificate"].content
        desired = {role: file.content for role, file in files.items()}
        authorities = _bundle(server, clients, current) if current else server
        desired["ca"] = authorities
        reason = credentials.renewal_reason(
            files, authorities, user, now, to_bool(args.get("renew", False)), int(args.get("renew_days", 30))
        )
        outcome: dict[str, Any] = {"kube_host": cluster.address, "reason": reason}
        if reason and self._task.check_mode:
            names = [file.path for role, file in files.items() if role != "ca" or authorities != file.content]
            return {**outcome, "changed": True, "files": names, "user": user, "expires": "(a new certificate)"}
        if reason:
            certificate, key = credentials.request_certificate(
                cluster.request, user, int(args.get("days") or 0), float(args.get("wait", 60))
            )
            desired = {"ca": credentials.bundle(server, clients, certificate), "certificate": certificate, "key": key}
            created = {role: certificates.File(file.path, desired[role]) for role, file in files.items()}
            findings = certificates.examine(created, datetime.now(timezone.utc), 0).findings
            # The cluster's clock may be slightly ahead.
            findings = [finding for finding in findings if "is not valid before" not in finding.message]
            if findings:
                raise CredentialsError(f"the cluster's certificate cannot be used: {findings[0].message}")
        elif desired["ca"] != files["ca"].content:
            outcome["reason"] = "the cluster's CA has changed"
        changed = self._write(files, desired, to_bool(args.get("encrypt", False)))
        if changed and not outcome["reason"]:
            outcome["reason"] = "modes or encryption of files differed"
        verdict = certificates.examine(
            {role: certificates.File(file.path, desired[role]) for role, file in files.items()}, now, 0
        )
        expires = certificates.day(verdict.expires) if verdict.expires else ""
        return {**outcome, "changed": bool(changed), "files": changed, "user": verdict.user, "expires": expires}

    def _write(
        self, files: Mapping[str, certificates.File], desired: Mapping[str, bytes | None], encrypt: bool
    ) -> list[str]:
        """Write the files that differ atomically, and return their paths.

        A file is encrypted if it was before, the key also if `encrypt` is set.
        """
        new: dict[Path, bytes | None] = {}
        for role, file in files.items():
            path, content = Path(file.path), desired[role] or b""
            was_encrypted = path.exists() and path.read_bytes().startswith(b"$ANSIBLE_VAULT")
            encrypted = was_encrypted or (encrypt and role == "key")
            if content != file.content or encrypted != was_encrypted:
                new[path] = self._encrypted(path, content) if encrypted else content
            elif stat.S_IMODE(path.stat().st_mode) != _MODE:
                new[path] = None
        if self._task.check_mode or not new:
            return [str(path) for path in new]
        ready: dict[Path, Path] = {}
        try:
            next(iter(new)).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            for path, replacement in new.items():
                if replacement is not None:
                    ready[path] = write_temporary(path, replacement, f".{path.name}.", _MODE)
            for path, temporary in ready.items():
                temporary.replace(path)
            for path in new:
                path.chmod(_MODE)
        except OSError as error:
            raise CredentialsError(f"{error.filename}: {error.strerror}; fix this and run again") from None
        finally:
            for temporary in ready.values():
                temporary.unlink(missing_ok=True)
        return [str(path) for path in new]

    def _encrypted(self, path: Path, content: bytes) -> bytes:
        try:
            return bytes(self._loader._vault.encrypt(content))
        except AnsibleError as error:
            raise CredentialsError(
                f"{path} cannot be encrypted ({str(error).splitlines()[0]}); "
                "set --vault-password-file or --ask-vault-pass"
            ) from None


def _bundle(server: bytes, clients: bytes, certificate: bytes) -> bytes:
    try:
        return credentials.bundle(server, clients, certificate)
    except (ValueError, IndexError):
        return server  # `certificates.examine` reports problems of the certificate.


def _diff_text(facts: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in facts.items() if value)
