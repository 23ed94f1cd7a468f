# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What images say of the options in files, as findings that name the operator's file and line."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.qinling.kolla.plugins.module_utils._config import oslo_options
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import digest
from ansible_collections.qinling.kolla.plugins.module_utils._config.masking import is_secret_name
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import (
    Rendered,
    RenderedFile,
    wanted_files,
)


def wanted_checks(rendered: Rendered, validate: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Takes rendered services and which of their files hold an image's options; returns what is to be checked."""
    return [
        {
            "service": name,
            "image": str(validate[name]["image"]),
            "container": str(validate[name]["container"]),
            "digest": digest(files),
            "provided": validate[name].get("provided") or [],
            "files": {file.path: file.content.decode() for file in files if file.path in validate[name]["files"]},
        }
        for name, files in wanted_files(rendered).items()
        if name in validate
    ]


def request(checks: list[dict[str, Any]], force: bool, pull: bool) -> dict[str, Any]:
    """Takes what is to be checked, whether also what runs already, and whether images are fetched for it; returns what
    `option_check.validate` takes, with the program that reads the files in the images.
    """
    return {"checks": checks, "script": inspect.getsource(oslo_options), "force": force, "pull": pull}


def judged(
    found: Iterable[Mapping[str, Any]], files: Mapping[tuple[str, str], RenderedFile], shared: Iterable[str]
) -> tuple[list[Finding], list[Finding]]:
    """Takes what images say of files, the files, and the operator's files that are not for one project alone.

    Returns findings and warnings, by the files and lines that set the options. An option that is not known is a
    warning where it stands in a shared file: it may be meant for another project.
    """
    findings: list[Finding] = []
    warnings: list[Finding] = []
    of_others = set(shared)
    for item in found:
        sections = files[item["service"], item["file"]].sections or {}
        option = sections.get(item["section"], {}).get(item["option"], ini.Option(()))
        name = f"[{item['section']}] {item['option']}"
        if item["kind"] == "unknown":
            near = item.get("near") or []
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            message = f"{name}: the libraries of {item['service']} know no such option{hint}"
        elif item["kind"] == "reference":
            message = f"{name}: its value has a $ that refers to no option; write $$ for the character"
        elif item["kind"] == "file":
            findings.append(file_finding(item, option, name))
            continue
        else:
            made = f" (it comes from {', '.join(option.variables)})" if option.variables else ""
            # What is said about a value may quote it.
            why = "" if is_secret_name(item["option"]) else f": {item['message']}"
            message = f"{name}: the value is not valid{why}{made}"
        finding = Finding(option.source or f"{item['service']}/{item['file']}", next(iter(option.lines), 0), message)
        (warnings if item["kind"] == "unknown" and option.source in of_others else findings).append(finding)
    return findings, warnings


def file_finding(item: Mapping[str, Any], option: ini.Option, name: str) -> Finding:
    """Return the finding about a file that an option names and a container lacks.

    It names the variable where a role's template sets the option from one variable.
    """
    message = (
        f"{item['message']} is not in the container of {item['service']}, which reads it for {name}; "
        "expected a file of its image or of a volume; set another path, or mount the file with an extra volume"
    )
    if option.source.endswith(".j2") and len(option.variables) == 1:
        return Finding(option.variables[0], 0, message)
    return Finding(option.source or f"{item['service']}/{item['file']}", next(iter(option.lines), 0), message)


def told(answer: Mapping[str, Any], rendered: Rendered, shared: Iterable[str]) -> tuple[list[Finding], list[str]]:
    """Takes the answer of `option_check.validate`, the rendered services and the files that are not for one project.

    Returns findings, and warnings, those of what could not be looked at among them.
    """
    files = {(name, file.path): file for name, of_service in rendered.services.items() for file in of_service}
    findings, warnings = judged(answer["found"], files, shared)
    blind = [f"the options of {name} were not validated: {why}" for name, why in answer["not_validated"].items()]
    return findings, [*blind, *(str(warning) for warning in dict.fromkeys(warnings))]
