# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Holds configuration files against the options that the Python libraries around it know.

The text of this file is run by the Python of a service's image, so that it is the image's own options that count: those
that its packages list under the entry point ``oslo.config.opts``, as for oslo.config's sample generator and validator.
That validator looks at names only. Here values are looked at too, by oslo.config itself, and so are the options that an
authentication plugin adds to its section once ``auth_type`` names it.

It reads ``{"files": {name: text}, "provided": {name: [path]}}`` from standard input and prints ``{name: [finding]}``.
Files stay in memory. `provided` are the paths that the service's container has beyond its image.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

# Options that name a file which has to be there; the libraries list them as plain strings. Those of [kubernetes] are
# checked with the certificates themselves.
FILE_OPTIONS = frozenset(
    (section, name)
    for section, names in {
        "keystone_authtoken": ("cafile", "certfile", "keyfile"),
        "oslo_messaging_rabbit": ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"),
        "etcd": ("ca_cert", "cert_file", "cert_key"),
    }.items()
    for name in names
)

# What the libraries list: a section and its options.
Listed = list[tuple[str, list[Any]]]


def installed_options() -> Listed:
    """Returns the options that the installed libraries list, in order of their names."""
    listed = []
    for entry in sorted(importlib.metadata.entry_points(group="oslo.config.opts"), key=lambda entry: entry.name):
        for group, options in entry.load()():
            listed.append((str(group or "DEFAULT"), list(options)))
    return listed


class Known:
    """The options that count for one file."""

    def __init__(self, path: str, listed: Listed) -> None:
        from oslo_config import cfg

        self.cfg = cfg
        self.conf = cfg.ConfigOpts()
        # Before any option is known: what belongs to command lines would be parsed as such.
        self.conf([], default_config_files=[path], default_config_dirs=[])
        # By section and by each name that oslo.config would read: the option, and the section that it belongs to now.
        self.names: dict[tuple[str, str], tuple[str, Any]] = {}
        for group, options in listed:
            self.add(group, options)

    def add(self, group: str, options: Iterable[Any]) -> None:
        """Takes a section and options of it, adds them; of two with the same name the first counts."""
        for option in options:
            option.required = False  # An option that is not set is no bad value.
            try:
                self.conf.register_opt(option, group=None if group == "DEFAULT" else group)
            except self.cfg.DuplicateOptError:
                continue
            names = [(group, option.dest)]
            names += [(old.group or group, old.name or option.dest) for old in option.deprecated_opts]
            for section, name in names:
                self.names.setdefault((fold(section), name), (group, option))

    def find(self, section: str, name: str) -> tuple[str, Any] | None:
        """Takes a section and a name as a file has them, returns the section and option that are meant, if any."""
        return self.names.get((fold(section), name))

    def value(self, group: str, option: Any) -> Any:
        """Takes a section and its option, returns the value that it has."""
        return self.conf[option.dest] if group == "DEFAULT" else self.conf[group][option.dest]

    def near(self, section: str, name: str) -> list[str]:
        """Takes what nobody knows, returns what may have been meant, the likeliest first."""
        sections = {group for group, _option in self.names}
        folded = fold(section)
        places = [group for group, known in self.names if known == name.replace("-", "_") and group != folded]
        if folded not in sections:
            likely = difflib.get_close_matches(folded.lower(), {group.lower() for group in sections})
            places.sort(key=lambda group: (group.lower() not in likely, group))
            found = [f"[{group}] {name.replace('-', '_')}" for group in places]
            return (found or [f"the section [{group}]" for group in sorted(sections) if group.lower() in likely])[:3]
        own = [known for group, known in self.names if group == folded]
        found = [f"[{section}] {known}" for known in difflib.get_close_matches(name.replace("-", "_"), own, 2, 0.7)]
        return (found + [f"[{group}] {name.replace('-', '_')}" for group in sorted(places)])[:3]


def fold(section: str) -> str:
    """Takes a section's name, returns it as oslo.config compares it."""
    return section if section == "DEFAULT" else section.lower()


def is_there(path: str, provided: Iterable[str]) -> bool:
    """Tell whether a path exists here, or is among paths that are provided, or below one of them."""
    return os.path.exists(path) or any(  # noqa: PTH110 - the image's Python runs this
        path == given or path.startswith(f"{given.rstrip('/')}/") for given in provided
    )


def findings(text: str, listed: Listed, provided: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return what is wrong with a file's text: section, option, kind, message or near names.

    `listed` are the options of the libraries, `provided` the paths that are in the container though not in the image.
    """
    # A file that has no name and no place on a disk.
    descriptor = os.memfd_create("options")
    try:
        os.write(descriptor, text.encode())
        path = f"/proc/self/fd/{descriptor}"
        known = Known(path, listed)
        sections: dict[str, dict[str, list[str]]] = {}
        known.cfg.ConfigParser(path, sections).parse()
        wrong = _authentication(known, sections)
        incomplete = {finding["section"] for finding in wrong}
        for section, options in sections.items():
            for name in options:
                meant = known.find(section, name)
                if meant is None and section in incomplete:
                    continue
                if meant is None:
                    near = known.near(section, name)
                    wrong.append({"section": section, "option": name, "kind": "unknown", "near": near})
                    continue
                try:
                    value = known.value(*meant)
                except known.cfg.NoSuchOptError:
                    # How oslo.config tells of a $ that leads nowhere.
                    wrong.append({"section": section, "option": name, "kind": "reference"})
                    continue
                except (ValueError, known.cfg.Error) as error:
                    message = str(error).rpartition(" is not valid: ")[2].rstrip(".")
                else:
                    if value and (section, name) in FILE_OPTIONS and not is_there(str(value), provided):
                        wrong.append({"section": section, "option": name, "kind": "file", "message": str(value)})
                    continue
                wrong.append({"section": section, "option": name, "kind": "bad", "message": message})
    finally:
        os.close(descriptor)
    return wrong


def _authentication(known: Known, sections: dict[str, dict[str, list[str]]]) -> list[dict[str, Any]]:
    """Adds the options of the authentication plugins that sections name; returns what is wrong with their names."""
    wrong = []
    for section in list(sections):
        if not sections[section].get("auth_type") or known.find(section, "auth_type") is None:
            continue
        from keystoneauth1 import exceptions, loading

        plugin = sections[section]["auth_type"][-1]
        try:
            options = loading.get_auth_plugin_conf_options(plugin)
        except exceptions.NoMatchingPlugin:
            message = f"there is no authentication plugin of the name {plugin}"
            wrong.append({"section": section, "option": "auth_type", "kind": "bad", "message": message})
            continue
        known.add(sections[section].get("auth_section", [section])[-1], options)
    return wrong


def main() -> None:
    """Answers the request on standard input."""
    listed = installed_options()
    request = json.load(sys.stdin)
    provided = request["provided"]
    print(json.dumps({name: findings(text, listed, provided[name]) for name, text in request["files"].items()}))


if __name__ == "__main__":
    main()
