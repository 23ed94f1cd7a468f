# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Validate options in the images that read them, with findings that name the operator's file and line."""

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
    desired_files,
)


def required_checks(rendered: Rendered, validate: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the checks of rendered services; `validate` has the files with an image's options by service."""
    return [
        {
            "service": name,
            "image": str(validate[name]["image"]),
            "container": str(validate[name]["container"]),
            "digest": digest(files),
            "provided": validate[name].get("provided") or [],
            "files": {file.path: file.content.decode() for file in files if file.path in validate[name]["files"]},
        }
        for name, files in desired_files(rendered).items()
        if name in validate
    ]


def request(checks: list[dict[str, Any]], force: bool, pull: bool) -> dict[str, Any]:
    """Return the request to `option_check.validate`, with the script that reads the files in the images.

    With `force`, the files of running containers are checked again; with `pull`, missing images are pulled.
    """
    return {"checks": checks, "script": inspect.getsource(oslo_options), "force": force, "pull": pull}


def classify(
    found: Iterable[Mapping[str, Any]], files: Mapping[tuple[str, str], RenderedFile], shared: Iterable[str]
) -> tuple[list[Finding], list[Finding]]:
    """Return findings and warnings, with the files and lines that set the options.

    `found` are the results from the images, `shared` the operator's files for all projects. An unknown option in a
    shared file is a warning, as it may be meant for another project.
    """
    findings: list[Finding] = []
    warnings: list[Finding] = []
    shared_files = set(shared)
    for item in found:
        sections = files[item["service"], item["file"]].sections or {}
        option = sections.get(item["section"], {}).get(item["option"], ini.Option(()))
        name = f"[{item['section']}] {item['option']}"
        if item["kind"] == "unknown":
            similar = item.get("near") or []
            hint = f"; did you mean {' or '.join(similar)}?" if similar else ""
            message = f"{name}: unknown option, not registered by the libraries of {item['service']}{hint}"
        elif item["kind"] == "reference":
            message = f"{name}: the value has a $ that does not refer to an option; write $$ for a literal $"
        elif item["kind"] == "file":
            findings.append(file_finding(item, option, name))
            continue
        else:
            origin = f" (from {', '.join(option.variables)})" if option.variables else ""
            # The message may quote the value.
            reason = "" if is_secret_name(item["option"]) else f": {item['message']}"
            message = f"{name}: invalid value{reason}{origin}"
        finding = Finding(option.source or f"{item['service']}/{item['file']}", next(iter(option.lines), 0), message)
        (warnings if item["kind"] == "unknown" and option.source in shared_files else findings).append(finding)
    return findings, warnings


def file_finding(item: Mapping[str, Any], option: ini.Option, name: str) -> Finding:
    """Return the finding about a file that an option refers to and the container lacks.

    If a role's template sets the option from one variable, the finding names this variable.
    """
    message = (
        f"{item['message']} is not in the container of {item['service']}, which reads it for {name}; "
        "expected a file of its image or of a volume; set another path, or mount the file with an extra volume"
    )
    if option.source.endswith(".j2") and len(option.variables) == 1:
        return Finding(option.variables[0], 0, message)
    return Finding(option.source or f"{item['service']}/{item['file']}", next(iter(option.lines), 0), message)


def to_findings(
    result: Mapping[str, Any], rendered: Rendered, shared: Iterable[str]
) -> tuple[list[Finding], list[str]]:
    """Return findings and warnings from the result of `option_check.validate`; `shared` are files for all projects.

    Services that could not be validated are among the warnings.
    """
    files = {(name, file.path): file for name, of_service in rendered.services.items() for file in of_service}
    findings, warnings = classify(result["found"], files, shared)
    skipped = [f"the options of {name} were not validated: {why}" for name, why in result["not_validated"].items()]
    return findings, [*skipped, *(str(warning) for warning in dict.fromkeys(warnings))]
