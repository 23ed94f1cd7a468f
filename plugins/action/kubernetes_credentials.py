# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps a client certificate of a Kubernetes cluster on the controller; wholly there, as the key must not leave it."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.qinling.kolla.plugins.module_utils._config.atomic_write import write_beside
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action, option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import truth
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
    """A cluster that a kubeconfig names. Its errors stand alone: Ansible would print each cause once more."""

    def __init__(self, kubeconfig: str, context: str | None) -> None:
        try:
            from kubernetes import client, config  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise CredentialsError(
                'the Python package "kubernetes" is missing beside Ansible '
                f"({sys.executable}: {error}); install it there"
            ) from None
        if not Path(kubeconfig).is_file():
            raise CredentialsError(
                f"{kubeconfig} is not there; name the kubeconfig of an administrator in "
                "qinling_kubernetes_admin_kubeconfig, or in the environment as KUBECONFIG"
            )
        try:
            self._api = config.new_client_from_config(config_file=kubeconfig, context=context, persist_config=False)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise CredentialsError(f"{kubeconfig} is not a kubeconfig: not YAML{line}") from None
        except (config.ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
            raise CredentialsError(f"{kubeconfig} is not a usable kubeconfig: {error}") from None
        self._exception = client.ApiException
        self._kubeconfig = kubeconfig
        self.address = str(self._api.configuration.host)

    def authorities(self) -> bytes:
        """Returns the CA that the kubeconfig names."""
        configuration = self._api.configuration
        if not configuration.ssl_ca_cert or not configuration.verify_ssl:
            raise CredentialsError(
                f"{self._kubeconfig} names no CA for {self.address}: Qinling "
                "verifies the server, so put the cluster's CA "
                "there as certificate-authority-data (and drop insecure-skip-tls-verify)"
            )
        return Path(configuration.ssl_ca_cert).read_bytes()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Takes a request, returns the answer's content; raises CredentialsError."""
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
                    f"{self.address} answers {error.status} to {method} {path}: {text}; "
                    f"is {self._kubeconfig} an administrator's?"
                ),
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # What the retries of urllib3 gave up with.
            reason = getattr(error, "reason", None) or error
            raise CredentialsError(f"{self.address} of {self._kubeconfig} can not be used: {reason}") from None


class ActionModule(Action):
    """Thin glue between Ansible, the `kubernetes` client and `credentials`."""

    _requires_connection = False
    _supports_diff = True

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        del task_vars
        problems = option_problems(args, _OPTIONS, ("kubeconfig", "directory", "user"))
        if args.get("state", "present") not in {"present", "absent"}:
            problems.append("state has to be present or absent")
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.kubernetes_credentials: {'; '.join(problems)}")

        try:
            result.update(self._reconcile(args))
        except CredentialsError as error:
            result.update(failed=True, msg=f"No file was changed: {error}")
        return result

    def _reconcile(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Takes the options, returns what was done; raises CredentialsError."""
        directory = Path(str(args["directory"])).expanduser()
        absent = args.get("state", "present") == "absent"
        files = {role: self._file(directory / name, absent) for role, name in certificates.NAMES.items()}
        verdict = certificates.examine(files, datetime.now(UTC), 0)
        before = {"user": verdict.user, "expires": certificates.day(verdict.expires) if verdict.expires else ""}
        kubeconfig = str(Path(str(args["kubeconfig"])).expanduser())
        cluster = Cluster(kubeconfig, str(args.get("context") or "") or None)
        authorities = b"" if absent else cluster.authorities()
        # Before anything else: the caller is going to change the cluster, absent or present.
        cluster.ask("GET", "/version")
        outcome = self._absent(files, str(args["user"])) if absent else self._present(cluster, authorities, args, files)
        outcome = {**before, **outcome}
        if self._task.diff:
            after = {} if absent and outcome["changed"] else {key: outcome[key] for key in before}
            outcome["diff"] = {
                "before_header": str(directory),
                "after_header": str(directory),
                "before": _shown(before),
                "after": _shown(after),
            }
        return outcome

    def _file(self, path: Path, as_it_is: bool) -> certificates.File:
        """Takes a path, returns the file, decrypted unless it shall stay as it is (removing needs no password)."""
        if not path.exists():
            return certificates.File(str(path))
        if as_it_is:
            return certificates.File(str(path), path.read_bytes())
        try:
            content, _was_plain = self._loader._get_file_contents(str(path))
        except AnsibleError as error:
            raise CredentialsError(f"{path} can not be read: {str(error).splitlines()[0]}") from None
        return certificates.File(str(path), bytes(content))

    def _absent(self, files: Mapping[str, certificates.File], user: str) -> dict[str, Any]:
        """Removes the files if they are this user's; another's are not touched."""
        if not credentials.belongs_to(files["certificate"].content, user):
            return {"changed": False, "reason": f"there is no certificate of {user}", "files": []}
        paths = [Path(file.path) for file in files.values() if file.content is not None]
        if not self._task.check_mode:
            for path in paths:
                path.unlink()
        return {"changed": True, "reason": "state is absent", "files": [str(path) for path in paths]}

    def _present(
        self, cluster: Cluster, server: bytes, args: Mapping[str, Any], files: Mapping[str, certificates.File]
    ) -> dict[str, Any]:
        user, now = str(args["user"]), datetime.now(UTC)
        clients = credentials.client_authorities(cluster.ask)
        held = files["certificate"].content
        wanted = {role: file.content for role, file in files.items()}
        authorities = _bundle(server, clients, held) if held else server
        wanted["ca"] = authorities
        reason = credentials.reason_to_make(
            files, authorities, user, now, truth(args.get("renew", False)), int(args.get("renew_days", 30))
        )
        outcome: dict[str, Any] = {"kube_host": cluster.address, "reason": reason}
        if reason and self._task.check_mode:
            names = [file.path for role, file in files.items() if role != "ca" or authorities != file.content]
            return {**outcome, "changed": True, "files": names, "user": user, "expires": "(a new certificate)"}
        if reason:
            certificate, key = credentials.make(
                cluster.ask, user, int(args.get("days") or 0), float(args.get("wait", 60))
            )
            wanted = {"ca": credentials.bundle(server, clients, certificate), "certificate": certificate, "key": key}
            made = {role: certificates.File(file.path, wanted[role]) for role, file in files.items()}
            findings = certificates.examine(made, datetime.now(UTC), 0).findings
            # A cluster's clock may be ahead; that passes by itself.
            findings = [finding for finding in findings if "is not valid before" not in finding.message]
            if findings:
                raise CredentialsError(f"the cluster's certificate does not serve: {findings[0].message}")
        elif wanted["ca"] != files["ca"].content:
            outcome["reason"] = "the cluster's CA is another one"
        changed = self._write(files, wanted, truth(args.get("encrypt", False)))
        if changed and not outcome["reason"]:
            outcome["reason"] = "modes or encryption of files were not as they have to be"
        verdict = certificates.examine(
            {role: certificates.File(file.path, wanted[role]) for role, file in files.items()}, now, 0
        )
        expires = certificates.day(verdict.expires) if verdict.expires else ""
        return {**outcome, "changed": bool(changed), "files": changed, "user": verdict.user, "expires": expires}

    def _write(
        self, files: Mapping[str, certificates.File], wanted: Mapping[str, bytes | None], encrypt: bool
    ) -> list[str]:
        """Writes what differs, each file whole, encrypted where it was or the key has to be; returns the paths."""
        new: dict[Path, bytes | None] = {}
        for role, file in files.items():
            path, content = Path(file.path), wanted[role] or b""
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
                    ready[path] = write_beside(path, replacement, f".{path.name}.", _MODE)
            for path, temporary in ready.items():
                temporary.replace(path)
            for path in new:
                path.chmod(_MODE)
        except OSError as error:
            raise CredentialsError(f"{error.filename}: {error.strerror}; mend this and run again") from None
        finally:
            for temporary in ready.values():
                temporary.unlink(missing_ok=True)
        return [str(path) for path in new]

    def _encrypted(self, path: Path, content: bytes) -> bytes:
        try:
            return bytes(self._loader._vault.encrypt(content))
        except AnsibleError as error:
            raise CredentialsError(
                f"{path} can not be encrypted ({str(error).splitlines()[0]}); "
                "give --vault-password-file or --ask-vault-pass"
            ) from None


def _bundle(server: bytes, clients: bytes, certificate: bytes) -> bytes:
    try:
        return credentials.bundle(server, clients, certificate)
    except (ValueError, IndexError):
        return server  # What is wrong with the certificate is said where it is examined.


def _shown(facts: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in facts.items() if value)
