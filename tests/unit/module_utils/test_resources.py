# SPDX-License-Identifier: Apache-2.0
"""Resources of all kinds: compared at the same time, applied one after the other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    HttpError,
    QinlingError,
    UnansweredError,
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
    for of_kind in (kinds.COMPARED, kinds.APPLIED):
        monkeypatch.setitem(of_kind, "words", Words)


def resource(*found: str, **more: Any) -> dict[str, Any]:
    return {"kind": "words", "words": found, **more}


def test_all_at_once_by_project_and_kind() -> None:
    comparison = kinds.Comparison({"a": [resource("x"), resource(), resource("y")], "b": [resource()], "c": []})
    assert comparison.differences() == {"a": {"words": ["x", "y"]}, "b": {}, "c": {}}


def test_an_unknown_state_is_a_difference_and_shows_no_secret() -> None:
    error = resource(error=RuntimeError("denied for the secret"))
    assert kinds.differences(error, Run()) == ["words: RuntimeError"]
    assert kinds.differences({"kind": "of a later release"}, Run()) == ["of a later release: KeyError"]


def apply(*resources: dict[str, Any], check: bool = False, same_run: bool = False, **more: Any) -> dict[str, Any]:
    return kinds.apply(list(resources), check=check, diff=True, server_in_same_run=same_run, **more)


def test_apply_says_what_was_done() -> None:
    done = apply(resource("x", note="look"), resource("y"), resource(note="nothing"))
    assert done == {"changed": True, "done": ["x False 60", "y False 60"], "notes": ["look"], "diff": []}
    assert not apply(resource(), check=True, same_run=True)["changed"]
    assert apply(resource("x"), check=True, same_run=True)["done"] == ["x True 0"]


@pytest.mark.parametrize(
    ("check", "same_run", "error", "failed"),
    [
        (True, True, UnansweredError("refused"), False),
        (True, True, QinlingError("no certificate"), True),
        (True, False, UnansweredError("refused"), True),
        (False, True, UnansweredError("refused"), True),
    ],
    ids=["still to be deployed", "another error", "somebody else's", "a real run"],
)
def test_a_server_that_does_not_answer_may_still_be_deployed(
    check: bool, same_run: bool, error: Exception, failed: bool
) -> None:
    result = apply(resource("before", error=error), resource("x"), check=check, same_run=same_run)
    assert (result.get("failed", False), result.get("msg", "")) == (failed, str(error) if failed else "")
    # What was done before an error stays in the result; after it, nothing else is applied.
    assert len(result["done"]) == (1 if failed else 3)
    assert result["changed"]


def test_an_unexpected_error_is_a_message() -> None:
    result = apply(resource(error=PermissionError(13, "Permission denied", "/etc/kolla/config")))
    assert result["msg"] == "words: PermissionError: [Errno 13] Permission denied: '/etc/kolla/config'"


def test_no_message_has_a_secret() -> None:
    secrets = ["it's 100%", "12345678", "another secret"]
    spoken = "denied: it's 100%, it\\'s 100%, 12345678, another%20secret"
    wanted = {"users": [{"password": "it's 100%"}], "auth": {"admin_password": 12345678}}
    result = apply(resource(spoken, error=QinlingError(spoken), **wanted), secrets=secrets[2:])
    assert result["msg"] == "denied: ***, ***, ***, ***"
    assert result["done"] == ["denied: ***, ***, ***, *** False 60"]


def test_a_diff_is_masked_and_only_there_when_it_was_requested(tmp_path: Path) -> None:
    file = {
        "kind": "file",
        "path": str(tmp_path / "a"),
        "mode": "0600",
        "content": "stats auth admin:the-secret\nbind *:1\n",
    }
    for diff in (True, False):
        result = kinds.apply([file], check=True, diff=diff, server_in_same_run=False, secrets=["the-secret"])
        assert [found["after"] for found in result["diff"]] == (["stats auth admin:***\nbind *:1\n"] if diff else [])


def test_a_password_of_digits_is_text() -> None:
    wanted = {"auth": {"password": 12345678, "port": 1}, "users": [{"password": "a", "token": 7}], "secret": True}
    found = with_text_secrets(wanted)
    assert found["auth"] == {"password": "12345678", "port": 1}
    assert found["users"] == [{"password": "a", "token": "7"}]
    # Whether a file is secret is no secret.
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

    sessions = Sessions(Client)
    names = ["a", "b", "a", "a"]
    threads = [threading.Thread(target=sessions.logged_in, args=({"username": name}, None, 0)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(logins) == ["a", "b"]


def test_a_refused_login_is_not_repeated() -> None:
    """Keystone locks a user out after a number of them."""
    logins: list[str] = []

    class Client:
        def __init__(self, params: dict[str, Any]) -> None:
            self.name = params["auth"]["username"]

        def log_in(self) -> None:
            logins.append(self.name)
            raise HttpError("no", 401)

    sessions = Sessions(Client)
    for _time in range(2):
        with pytest.raises(HttpError):
            sessions.logged_in({"username": "a"}, None, 0)
    assert logins == ["a"]
