# SPDX-License-Identifier: Apache-2.0
"""Masking of secrets in diffs."""

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._config import masking

LINES = {
    "a password": ("password = hunter2", "password = ***"),
    "a suffix": ("memcache_secret_key = hunter2", "memcache_secret_key = ***"),
    "a URL option": ("connection = mysql://u:hunter2@h/d", "connection = ***"),
    "a transport": ("transport_url=rabbit://u:hunter2@h", "transport_url=***"),
    "YAML": ("  admin_token: hunter2", "  admin_token: ***"),
    "a YAML item": ("- password: hunter2", "- password: ***"),
    "JSON": ('    "secret_key": "hunter2",', '    "secret_key": ***,'),
    "JSON in one line": ('{"a": 1, "password": "hunter2", "b": 2}', '{"a": 1, "password": ***, "b": 2}'),
    "in a comment": ("# password = hunter2", "# password = ***"),
    "a URL anywhere": ("x = http://u:hunter2@host/p", "x = http://u:***@host/p"),
    "a literal": ("x = 1hunter2b", "x = 1***b"),
    "a literal, quoted for a URL": ("x = a%2Fb%40c", "x = ***"),
    "default_pass": ("default_pass = hunter2", "default_pass = ***"),
    "a file name": ("key_file = /etc/k.pem", "key_file = /etc/k.pem"),
    "a duration": ("token_cache_time = 300", "token_cache_time = 300"),
    "a limit": ("max_connections = 3", "max_connections = 3"),
    "a word that contains a secret name": ("monkeys = 3", "monkeys = 3"),
    "no secret": ("debug = True", "debug = True"),
}


@pytest.mark.parametrize(("line", "expected"), LINES.values(), ids=LINES)
def test_lines(line: str, expected: str) -> None:
    assert masking.mask_lines(line, masking.literals(["hunter2", "a/b@c"])) == [expected]


BLOCKS = {
    "continuations": ("password = a\n  hunter2\nx = 1", "password = ***\n  ***\nx = 1"),
    "a YAML block": ("secret: |\n  hunter2\n  hunter2\nx: 1", "secret: |\n  ***\n  ***\nx: 1"),
    "a YAML list": ("tokens:\n- hunter2\n- hunter2\nx: 1", "tokens:\n***\n***\nx: 1"),
    "a JSON list": ('{\n  "keys": [\n    "hunter2"\n  ],\n  "x": 1\n}', '{\n  "keys": [\n    ***\n  ],\n  "x": 1\n}'),
    "a private key": (
        "a\n-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nb",
        "a\n***\n***\n***\nb",
    ),
    "a certificate is shown": (
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_blocks(text: str, expected: str) -> None:
    assert "\n".join(masking.mask_lines(text, [])) == expected


def test_changed_secret_is_marked() -> None:
    before, after = masking.mask_pair("a = 1\npassword = old\n", "a = 1\npassword = new\n", [])
    assert before == "a = 1\npassword = *** (before)\n"
    assert after == "a = 1\npassword = *** (after)\n"


def test_unchanged_secret_is_not_marked() -> None:
    before, after = masking.mask_pair("a = 1\npassword = same\n", "a = 2\npassword = same\n", [])
    assert before == "a = 1\npassword = ***\n"
    assert after == "a = 2\npassword = ***\n"


def test_swapped_secrets_are_marked() -> None:
    before, after = masking.mask_pair("password = x\npassword = y", "password = y\npassword = x", [])
    assert before != after
    assert "x" not in before.replace("password", "")


def test_old_value_is_hidden_if_only_the_new_value_is_known() -> None:
    before, after = masking.mask_pair("userpass_line user:oldvalue\n", "userpass_line user:newvalue\n", ["newvalue"])
    assert "oldvalue" not in before
    assert "newvalue" not in after
    assert before != after


def test_multiline_secret_hides_each_line() -> None:
    secret = "first-line\nsecond-line\nx\n"
    assert masking.mask_lines("a first-line b\nsecond-line\nx y", masking.literals([secret])) == [
        "a *** b",
        "***",
        "x y",
    ]


def test_empty_secret_hides_nothing() -> None:
    assert masking.mask_lines("abc", masking.literals(["", "\n"])) == ["abc"]


@pytest.mark.parametrize("name", ["database_password", "rabbitmq_cluster_cookie", "key", "fernet_keys", "AUTH_TOKEN"])
def test_secret_names(name: str) -> None:
    assert masking.is_secret_name(name)


@pytest.mark.parametrize("name", ["ssl_key_file", "token_expiration", "debug", "keyboard", "my_key_path"])
def test_harmless_names(name: str) -> None:
    assert not masking.is_secret_name(name)
