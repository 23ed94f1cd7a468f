# SPDX-License-Identifier: Apache-2.0
"""Validation of files with oslo.config."""

from __future__ import annotations

from typing import Any

import pytest

cfg = pytest.importorskip("oslo_config.cfg", reason="oslo.config is a requirement of tests only")

from ansible_collections.qinling.kolla.plugins.module_utils._config import oslo_options  # noqa: E402


def listed() -> oslo_options.Listed:
    """Return options like `installed_options`; new objects each time, because validation changes them."""
    return [
        (
            "DEFAULT",
            [
                cfg.BoolOpt("debug"),
                cfg.IntOpt("rpc-timeout", deprecated_name="timeout", deprecated_group="rpc"),
                cfg.StrOpt("needed", required=True),
                cfg.MultiStrOpt("many"),
            ],
        ),
        ("api", [cfg.PortOpt("port"), cfg.IntOpt("workers", min=1)]),
        ("api", [cfg.StrOpt("workers")]),
        ("kubernetes", [cfg.StrOpt("kube_host"), cfg.StrOpt("mode", choices=["proxy", "nodeport"])]),
        (
            "keystone_authtoken",
            [cfg.StrOpt("auth_type"), cfg.StrOpt("auth_section"), cfg.StrOpt("password_file"), cfg.StrOpt("cafile")],
        ),
    ]


VALID = {
    "an empty file": "",
    "values": "[DEFAULT]\ndebug = yes\nmany = a\nmany = b\n[api]\nport = 70\nworkers = 2\n",
    "a name with a dash is read with an underscore": "[DEFAULT]\nrpc_timeout = 3\n",
    "a deprecated name": "[rpc]\ntimeout = 3\n",
    "sections in capitals": "[API]\nport = 70\n",
    "a reference": "[kubernetes]\nkube_host = $mode $$x\nmode = proxy\n",
    "an empty section": "[nobody]\n",
    "options of an authentication plugin": "[keystone_authtoken]\nauth_type = password\nusername = x\npassword = y\n",
    "an authentication plugin in another section": (
        "[keystone_authtoken]\nauth_type = password\nauth_section = own\n[own]\nusername = x\n"
    ),
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_valid_files_have_no_findings(text: str) -> None:
    assert oslo_options.findings(text, listed()) == []


INVALID: dict[str, tuple[str, list[tuple[str, str, str, Any]]]] = {
    "a misspelt option": ("[api]\nprot = 1\n", [("api", "prot", "unknown", ["[api] port"])]),
    "a misspelt section": (
        "[kubernets]\nkube_host = x\n",
        [("kubernets", "kube_host", "unknown", ["[kubernetes] kube_host"])],
    ),
    "both": ("[kubernets]\nkube_hots = x\n", [("kubernets", "kube_hots", "unknown", ["the section [kubernetes]"])]),
    "the wrong section": (
        "[DEFAULT]\nkube_host = x\n",
        [("DEFAULT", "kube_host", "unknown", ["[kubernetes] kube_host"])],
    ),
    "[default] is not [DEFAULT]": ("[default]\ndebug = 1\n", [("default", "debug", "unknown", ["[DEFAULT] debug"])]),
    "a dash": ("[kubernetes]\nkube-host = x\n", [("kubernetes", "kube-host", "unknown", ["[kubernetes] kube_host"])]),
    "no similar option": ("[api]\nxyzzy = x\n", [("api", "xyzzy", "unknown", [])]),
    "a bad boolean": ("[DEFAULT]\ndebug = treu\n", [("DEFAULT", "debug", "bad", "Unexpected boolean value 'treu'")]),
    "a port too large": ("[api]\nport = 70000\n", [("api", "port", "bad", "Should be less than or equal to 65535")]),
    "an invalid choice": (
        "[kubernetes]\nmode = x\n",
        [("kubernetes", "mode", "bad", "Valid values are [proxy, nodeport], but found 'x'")],
    ),
    "a bad value by an old name": (
        "[rpc]\ntimeout = x\n",
        [("rpc", "timeout", "bad", "invalid literal for int() with base 10: 'x'")],
    ),
    "a reference to nothing": ("[kubernetes]\nkube_host = a$b\n", [("kubernetes", "kube_host", "reference", None)]),
    "an unknown plugin hides unknown options of the section": (
        "[keystone_authtoken]\nauth_type = passwrd\nusername = x\n",
        [("keystone_authtoken", "auth_type", "bad", "the authentication plugin passwrd does not exist")],
    ),
    "several at once": (
        "[DEFAULT]\ndebug = x\n[api]\nworkers = 0\nno = 1\n",
        [
            ("DEFAULT", "debug", "bad", "Unexpected boolean value 'x'"),
            ("api", "workers", "bad", "Should be greater than or equal to 1"),
            ("api", "no", "unknown", []),
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), INVALID.values(), ids=INVALID)
def test_invalid_options_are_reported_with_suggestions(text: str, expected: list[tuple[str, str, str, Any]]) -> None:
    found = oslo_options.findings(text, listed())
    assert [
        (item["section"], item["option"], item["kind"], item.get("near", item.get("message"))) for item in found
    ] == expected


@pytest.mark.parametrize(
    ("path", "provided", "missing"),
    [
        (__file__, [], False),
        ("", [], False),
        ("/nowhere/ca.pem", [], True),
        ("/nowhere/ca.pem", ["/nowhere/ca.pem"], False),
        ("/nowhere/ca.pem", ["/nowhere/"], False),
        ("/nowhere/ca.pem", ["/now"], True),
    ],
)
def test_file_has_to_be_in_the_image_or_provided(path: str, provided: list[str], missing: bool) -> None:
    text = f"[keystone_authtoken]\ncafile = {path}\npassword_file = /nowhere/else\n"
    expected = [{"section": "keystone_authtoken", "option": "cafile", "kind": "file", "message": path}]
    assert oslo_options.findings(text, listed(), provided) == (expected if missing else [])
