# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Validate configuration files with the options of the installed Python libraries.

The Python of a service's image runs this script, so that the options of the image apply: those that its packages list
under the entry point ``oslo.config.opts``, as for oslo.config's sample generator and validator. That validator checks
names only. This script also checks values, with oslo.config itself, and the options that an authentication plugin adds
to its section if ``auth_type`` names the plugin.

It reads ``{"files": {name: text}, "provided": {name: [path]}}`` from standard input and prints ``{name: [finding]}``.
Files stay in memory. `provided` are the paths that the service's container has in addition to those of its image.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

# Options that name a file that has to exist; the libraries declare them as strings. The files of [kubernetes] are
# checked together with the certificates.
FILE_OPTIONS = frozenset(
    (section, name)
    for section, names in {
        "keystone_authtoken": ("cafile", "certfile", "keyfile"),
        "oslo_messaging_rabbit": ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"),
        "etcd": ("ca_cert", "cert_file", "cert_key"),
    }.items()
    for name in names
)

# Options of the libraries: a section and its options.
Listed = list[tuple[str, list[Any]]]


def installed_options() -> Listed:
    """Return the options of the installed libraries, ordered by the names of the entry points."""
    listed = []
    for entry in sorted(importlib.metadata.entry_points(group="oslo.config.opts"), key=lambda entry: entry.name):
        for group, options in entry.load()():
            listed.append((str(group or "DEFAULT"), list(options)))
    return listed


class OptionSchema:
    """The options that one file may contain."""

    def __init__(self, path: str, listed: Listed) -> None:
        from oslo_config import cfg

        self.cfg = cfg
        self.conf = cfg.ConfigOpts()
        # Called before options are registered: otherwise command-line options would be parsed.
        self.conf([], default_config_files=[path], default_config_dirs=[])
        # By section and by each name that oslo.config accepts: the option and its current section.
        self.names: dict[tuple[str, str], tuple[str, Any]] = {}
        for group, options in listed:
            self.add(group, options)

    def add(self, group: str, options: Iterable[Any]) -> None:
        """Add the options of a section; of two options with the same name, the first applies."""
        for option in options:
            option.required = False  # A missing option is not an invalid value.
            try:
                self.conf.register_opt(option, group=None if group == "DEFAULT" else group)
            except self.cfg.DuplicateOptError:
                continue
            names = [(group, option.dest)]
            names += [(old.group or group, old.name or option.dest) for old in option.deprecated_opts]
            for section, name in names:
                self.names.setdefault((fold(section), name), (group, option))

    def find(self, section: str, name: str) -> tuple[str, Any] | None:
        """Return the current section and the option for a section and name in a file; None if unknown."""
        return self.names.get((fold(section), name))

    def value(self, group: str, option: Any) -> Any:
        """Return the parsed value of an option."""
        return self.conf[option.dest] if group == "DEFAULT" else self.conf[group][option.dest]

    def similar(self, section: str, name: str) -> list[str]:
        """Return suggestions for an unknown option, the most similar first."""
        sections = {group for group, _option in self.names}
        folded = fold(section)
        matches = [group for group, option in self.names if option == name.replace("-", "_") and group != folded]
        if folded not in sections:
            likely = difflib.get_close_matches(folded.lower(), {group.lower() for group in sections})
            matches.sort(key=lambda group: (group.lower() not in likely, group))
            found = [f"[{group}] {name.replace('-', '_')}" for group in matches]
            return (found or [f"the section [{group}]" for group in sorted(sections) if group.lower() in likely])[:3]
        own = [option for group, option in self.names if group == folded]
        found = [f"[{section}] {option}" for option in difflib.get_close_matches(name.replace("-", "_"), own, 2, 0.7)]
        return (found + [f"[{group}] {name.replace('-', '_')}" for group in sorted(matches)])[:3]


def fold(section: str) -> str:
    """Return a section's name in the case in which oslo.config compares names."""
    return section if section == "DEFAULT" else section.lower()


def exists(path: str, provided: Iterable[str]) -> bool:
    """Return whether a path exists in the image, or is one of the `provided` paths or below one of these."""
    return os.path.exists(path) or any(  # noqa: PTH110 - the image's Python runs this
        path == parent or path.startswith(f"{parent.rstrip('/')}/") for parent in provided
    )


def findings(text: str, listed: Listed, provided: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the findings about a file's text, each ``{section, option, kind}`` with a `message` or similar names.

    `listed` are the options of the libraries, `provided` the paths that the container has in addition to the image.
    """
    # oslo.config needs a path; a memory file keeps secrets off the disk.
    descriptor = os.memfd_create("options")
    try:
        os.write(descriptor, text.encode())
        path = f"/proc/self/fd/{descriptor}"
        schema = OptionSchema(path, listed)
        sections: dict[str, dict[str, list[str]]] = {}
        schema.cfg.ConfigParser(path, sections).parse()
        found = _authentication(schema, sections)
        incomplete = {finding["section"] for finding in found}
        for section, options in sections.items():
            for name in options:
                match = schema.find(section, name)
                if match is None and section in incomplete:
                    continue
                if match is None:
                    similar = schema.similar(section, name)
                    found.append({"section": section, "option": name, "kind": "unknown", "near": similar})
                    continue
                try:
                    value = schema.value(*match)
                except schema.cfg.NoSuchOptError:
                    # oslo.config raises this for a $reference that cannot be resolved.
                    found.append({"section": section, "option": name, "kind": "reference"})
                    continue
                except (ValueError, schema.cfg.Error) as error:
                    message = str(error).rpartition(" is not valid: ")[2].rstrip(".")
                    found.append({"section": section, "option": name, "kind": "bad", "message": message})
                    continue
                if value and (section, name) in FILE_OPTIONS and not exists(str(value), provided):
                    found.append({"section": section, "option": name, "kind": "file", "message": str(value)})
    finally:
        os.close(descriptor)
    return found


def _authentication(schema: OptionSchema, sections: dict[str, dict[str, list[str]]]) -> list[dict[str, Any]]:
    """Add the options of the authentication plugins that sections name; return findings about unknown plugins."""
    found = []
    for section in list(sections):
        if not sections[section].get("auth_type") or schema.find(section, "auth_type") is None:
            continue
        from keystoneauth1 import exceptions, loading

        plugin = sections[section]["auth_type"][-1]
        try:
            options = loading.get_auth_plugin_conf_options(plugin)
        except exceptions.NoMatchingPlugin:
            message = f"the authentication plugin {plugin} does not exist"
            found.append({"section": section, "option": "auth_type", "kind": "bad", "message": message})
            continue
        schema.add(sections[section].get("auth_section", [section])[-1], options)
    return found


def main() -> None:
    """Read a request from standard input and print the findings."""
    listed = installed_options()
    request = json.load(sys.stdin)
    provided = request["provided"]
    json.dump({name: findings(text, listed, provided[name]) for name, text in request["files"].items()}, sys.stdout)


if __name__ == "__main__":
    main()
