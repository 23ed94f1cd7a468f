# SPDX-License-Identifier: Apache-2.0
"""Concurrent comparison and sequential application of resources."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    HttpError,
    QinlingError,
    UnreachableError,
)
from ansible_collections.qinling.kolla.plugins.module_utils._resources import kinds
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import (
    Resource,
    Run,
    Sessions,
    with_text_secrets,
)


class Words(Resource):
    """A resource that differs by its words, or raises an error."""

    def differences(self) -> list[str]:
        if "error" in self.desired:
            raise self.desired["error"]
        return list(self.desired["words"])

    def apply(self) -> None:
        for word in self.desired["words"]:
            self.done.append(f"{word} {self.run.check} {self.run.wait}")
        self.differences()


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the kind `words`."""
    for registry in (kinds.COMPARED, kinds.APPLIED):
        monkeypatch.setitem(registry, "words", Words)


def resource(*found: str, **more: Any) -> dict[str, Any]:
    return {"kind": "words", "words": found, **more}


def test_differences_are_grouped_by_project_and_kind() -> None:
    comparison = kinds.Comparison({"a": [resource("x"), resource(), resource("y")], "b": [resource()], "c": []})
    assert comparison.differences() == {"a": {"words": ["x", "y"]}, "b": {}, "c": {}}


def test_failed_comparison_is_a_difference_without_secrets() -> None:
    error = resource(error=RuntimeError("denied for the secret"))
    assert kinds.differences(error, Run()) == ["words: RuntimeError"]
    assert kinds.differences({"kind": "of a later release"}, Run()) == ["of a later release: KeyError"]


def apply(*resources: dict[str, Any], check: bool = False, same_run: bool = False, **more: Any) -> dict[str, Any]:
    return kinds.apply(list(resources), check=check, diff=True, server_in_same_run=same_run, **more)


def test_apply_returns_changes_and_notes() -> None:
    done = apply(resource("x", note="restart it"), resource("y"), resource(note="nothing"))
    assert done == {"changed": True, "done": ["x False 60", "y False 60"], "notes": ["restart it"], "diff": []}
    assert not apply(resource(), check=True, same_run=True)["changed"]
    assert apply(resource("x"), check=True, same_run=True)["done"] == ["x True 0"]


@pytest.mark.parametrize(
    ("check", "same_run", "error", "failed"),
    [
        (True, True, UnreachableError("refused"), False),
        (True, True, QinlingError("no certificate"), True),
        (True, False, UnreachableError("refused"), True),
        (False, True, UnreachableError("refused"), True),
    ],
    ids=["not deployed yet", "another error", "external server", "without check mode"],
)
def test_unreachable_server_is_accepted_if_deployed_in_the_same_run(
    check: bool, same_run: bool, error: Exception, failed: bool
) -> None:
    result = apply(resource("before", error=error), resource("x"), check=check, same_run=same_run)
    assert (result.get("failed", False), result.get("msg", "")) == (failed, str(error) if failed else "")
    # The result contains the changes before an error; the next resources are not applied.
    assert len(result["done"]) == (1 if failed else 3)
    assert result["changed"]


def test_unexpected_error_is_reported() -> None:
    result = apply(resource(error=PermissionError(13, "Permission denied", "/etc/kolla/config")))
    assert result["msg"] == "words: PermissionError: [Errno 13] Permission denied: '/etc/kolla/config'"


def test_secrets_are_masked_in_messages() -> None:
    secrets = ["it's 100%", "12345678", "another secret"]
    message = "denied: it's 100%, it\\'s 100%, 12345678, another%20secret"
    desired = {"users": [{"password": "it's 100%"}], "auth": {"admin_password": 12345678}}
    result = apply(resource(message, error=QinlingError(message), **desired), secrets=secrets[2:])
    assert result["msg"] == "denied: ***, ***, ***, ***"
    assert result["done"] == ["denied: ***, ***, ***, *** False 60"]


def test_diff_is_masked_and_only_returned_on_request(tmp_path: Path) -> None:
    file = {
        "kind": "file",
        "path": str(tmp_path / "a"),
        "mode": "0600",
        "content": "stats auth admin:the-secret\nbind *:1\n",
    }
    for diff in (True, False):
        result = kinds.apply([file], check=True, diff=diff, server_in_same_run=False, secrets=["the-secret"])
        assert [found["after"] for found in result["diff"]] == (["stats auth admin:***\nbind *:1\n"] if diff else [])


def test_password_of_digits_is_converted_to_text() -> None:
    desired = {"auth": {"password": 12345678, "port": 1}, "users": [{"password": "a", "token": 7}], "secret": True}
    found = with_text_secrets(desired)
    assert found["auth"] == {"password": "12345678", "port": 1}
    assert found["users"] == [{"password": "a", "token": "7"}]
    # The option `secret` of a file is not a secret itself.
    assert found["secret"] is True
    assert with_text_secrets({"secret": False}) == {"secret": False}
    assert apply(resource("True", secret=True))["done"] == ["True False 60"]


def test_resources_share_a_login() -> None:
    logins: list[str] = []

    class Client:
        def __init__(self, params: dict[str, Any]) -> None:
            self.name = params["auth"]["username"]
            self.logged_in = False

        def log_in(self) -> None:
            if not self.logged_in:
                logins.append(self.name)
                self.logged_in = True

    sessions = Sessions(Client)  # type: ignore[arg-type]
    names = ["a", "b", "a", "a"]
    threads = [threading.Thread(target=sessions.logged_in, args=({"username": name}, None, 0)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(logins) == ["a", "b"]


def test_refused_login_is_not_repeated() -> None:
    """Keystone may lock out a user after several failures."""
    logins: list[str] = []

    class Client:
        def __init__(self, params: dict[str, Any]) -> None:
            self.name = params["auth"]["username"]

        def log_in(self) -> None:
            logins.append(self.name)
            raise HttpError("no", 401)

    sessions = Sessions(Client)  # type: ignore[arg-type]
    for _time in range(2):
        with pytest.raises(HttpError):
            sessions.logged_in({"username": "a"}, None, 0)
    assert logins == ["a"]
