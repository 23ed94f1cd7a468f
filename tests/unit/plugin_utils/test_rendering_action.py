# SPDX-License-Identifier: Apache-2.0
"""Detection of secrets in variables, and the payload of files for the module config_files."""

from ansible.errors import AnsibleError
from ansible_collections.qinling.kolla.plugins.module_utils._config import payload
from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import DesiredFile
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import (
    Rendered,
    RenderedFile,
    desired_files,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering_action import secrets_in


class Encrypted:
    """A value encrypted with ansible-vault."""

    def __init__(self, text: str) -> None:
        self._ciphertext = text

    def __str__(self) -> str:
        if not self._ciphertext:
            raise AnsibleError("no vault password")
        return self._ciphertext


def test_secrets_are_found_by_variable_name() -> None:
    variables = {
        "database_password": "long-enough",
        "api_secret_key": Encrypted("from-the-vault"),
        "unreadable_password": Encrypted(""),
        "short_password": "short",
        "templated_password": "{{ database_password }}",
        "ssl_key_file": "/etc/ssl/key.pem",
        "debug": "long-enough-too",
        "passwords": {"a": "mapping"},
    }
    assert secrets_in(variables) == ["from-the-vault", "long-enough"]


def test_files_are_sent_unchanged_and_unreadable() -> None:
    files = [RenderedFile("a", bytes(range(256)), True), RenderedFile("b/c", "é CANARY".encode())]
    sent = payload.dump(
        {"services": payload.dump_files(desired_files(Rendered({"api": files}))), "secrets": ["CANARY"]}
    )
    assert "CANARY" not in sent
    assert sent.isascii()
    received = payload.load(sent)
    assert received["secrets"] == ["CANARY"]
    assert payload.load_files(received["services"]) == {
        "api": [DesiredFile("a", 0o600, bytes(range(256)), True), DesiredFile("b/c", 0o600, "é CANARY".encode())]
    }
