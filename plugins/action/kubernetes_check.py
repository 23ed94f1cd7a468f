# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the certificates on the controller and, from the host, the cluster; report every problem at once."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.utils.display import Display
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.action_base import Action, option_problems
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini, templating
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import to_bool
from ansible_collections.qinling.kolla.plugins.plugin_utils._kubernetes import certificates, cluster, rbac

_OPTIONS = frozenset({"kube_host", "overrides", "files", "warn_days", "namespace", "manifest", "timeout", "fail"})


def candidate_paths(files: Mapping[str, Any], role: str) -> list[Path]:
    """Return the first existing path of the file for `role`, or all its candidates if none exists.

    `files` has a path or a list of paths by Kolla's file name.
    """
    paths = files.get(certificates.NAMES[role])
    candidates = [Path(str(path)).expanduser() for path in ([paths] if isinstance(paths, str) else paths or [])]
    if not candidates:
        raise AnsibleActionFail(f"qinling.kolla.kubernetes_check: option files has no {certificates.NAMES[role]}")
    return next(([path] for path in candidates if path.exists()), candidates)


class ActionModule(Action):
    """Thin glue between Ansible, `certificates`, `cluster` and the module of the same name."""

    def act(self, result: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        problems = option_problems(args, _OPTIONS, ("files", "manifest"))
        if certificates.MISSING_LIBRARY:
            problems.append(certificates.MISSING_LIBRARY)
        if problems:
            raise AnsibleActionFail(f"qinling.kolla.kubernetes_check: {'; '.join(problems)}")

        files = {role: self._file(candidate_paths(args["files"], role)) for role in certificates.NAMES}
        verdict = certificates.examine(files, datetime.now(timezone.utc), int(args.get("warn_days", 30)))
        findings, warnings = [str(finding) for finding in verdict.findings], [*verdict.warnings]
        warnings += self._open_key(files["key"])

        options, option_findings = self._options(args, task_vars)
        findings += [str(finding) for finding in option_findings]
        kube_host, manifest = options["kube_host"], self._manifest(args, options["namespace"])
        seen: dict[str, Any] = {}
        problem = cluster.address_problem(kube_host)
        if problem:
            findings.append(str(Finding("qinling_kube_host", 0, problem)))
        else:
            seen = self._probe(kube_host, verdict, manifest, args, task_vars)
            found = cluster.findings(kube_host, verdict.usable.get("ca", ""), verdict.user, manifest, seen)
            findings += [str(Finding("qinling_kube_host", 0, message)) for message in found]

        for warning in warnings:
            Display().warning(warning)
        result.update(
            changed=False,
            findings=findings,
            user=verdict.user,
            server_version=(seen.get("version") or {}).get("gitVersion", ""),
            kube_host=kube_host,
        )
        if verdict.expires:
            result["expires"] = certificates.day(verdict.expires)
        if findings and to_bool(args.get("fail", True)):
            result["failed"] = True
            result["msg"] = "Kubernetes cannot be used with these settings; nothing was changed:\n" + "\n".join(
                f"- {finding}" for finding in findings
            )
        return result

    def _file(self, candidates: list[Path]) -> certificates.File:
        path = candidates[0]
        if not path.exists():
            others = " or ".join(str(candidate) for candidate in candidates[1:])
            return certificates.File(
                str(path),
                None,
                f"does not exist{f' (nor does {others})' if others else ''}; create it, set "
                "qinling_kubernetes_certificates_dir to the directory of ca.pem, cert.pem and key.pem, "
                "or run the playbook qinling.kolla.kubernetes_credentials",
            )
        if not path.is_file():
            return certificates.File(str(path), None, "is not a file")
        try:
            # Decrypted in memory: get_real_file would write the plain text to a temporary file.
            content, _was_plain = self._loader._get_file_contents(str(path))
        except AnsibleError as error:
            return certificates.File(str(path), None, f"cannot be read: {str(error).splitlines()[0]}")
        return certificates.File(str(path), bytes(content))

    def _open_key(self, file: certificates.File) -> list[str]:
        """Return a warning if every user of the controller can read the unencrypted key."""
        path = Path(file.path)
        if file.content is None or not stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH:
            return []
        if path.read_bytes().startswith(b"$ANSIBLE_VAULT"):
            return []
        return [f"{path}: every user of this machine can read the private key; chmod it to 0600"]

    def _options(self, args: Mapping[str, Any], variables: dict[str, Any]) -> tuple[dict[str, str], list[Finding]]:
        """Return the address and namespace that qinling.conf is going to contain, and findings about its files."""
        options = {"kube_host": str(args.get("kube_host") or ""), "namespace": str(args.get("namespace") or "qinling")}
        findings: list[Finding] = []
        for path in args.get("overrides") or []:
            if not Path(str(path)).expanduser().is_file():
                continue
            try:
                text, _was_plain = self._loader._get_file_contents(str(Path(str(path)).expanduser()))
                rendered = templating.render(
                    self._templar, variables, [self._loader.get_basedir()], bytes(text).decode("utf-8"), str(path)
                )
            except FindingsError as error:
                findings += error.findings
                continue
            except (AnsibleError, UnicodeDecodeError) as error:
                findings.append(Finding(str(path), 0, f"cannot be read: {str(error).splitlines()[0]}"))
                continue
            sections, found = ini.parse(rendered, str(path))
            findings += found
            for name in options:
                option = sections.get("kubernetes", {}).get(name)
                if option:
                    options[name] = "".join(option.values[-1])
        return options, findings

    def _manifest(self, args: Mapping[str, Any], namespace: str) -> rbac.Manifest:
        path = str(args["manifest"])
        try:
            content, _was_plain = self._loader._get_file_contents(path)
            return rbac.Manifest.load(bytes(content).decode("utf-8"), namespace)
        except (AnsibleError, UnicodeDecodeError, rbac.ManifestError) as error:
            raise AnsibleActionFail(f"qinling.kolla.kubernetes_check: the manifest {path}: {error}") from error

    def _probe(
        self,
        kube_host: str,
        verdict: certificates.Verdict,
        manifest: rbac.Manifest,
        args: Mapping[str, Any],
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        module_args = {
            "kube_host": kube_host,
            **verdict.usable,
            "access": manifest.access(),
            "timeout": float(args.get("timeout", 10)),
        }
        probe = self._execute_module("qinling.kolla.kubernetes_probe", module_args=module_args, task_vars=task_vars)
        if probe.get("failed"):
            raise AnsibleActionFail(f"the host cannot check {kube_host}: {probe.get('msg', 'no reason given')}")
        return dict(probe["seen"])
