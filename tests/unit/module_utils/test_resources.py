# SPDX-License-Identifier: Apache-2.0
"""Resources of all kinds: compared at the same time, applied one after the other."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnansweredError
from ansible_collections.qinling.kolla.plugins.module_utils._resources import kinds
from ansible_collections.qinling.kolla.plugins.module_utils._resources.resource import Resource, Run, Sessions


class Words(Resource):
    """A resource that differs by its words, or raises an error."""

    def differences(self) -> list[str]:
        if "error" in self.desired:
            raise self.desired["error"]
        return list(self.desired["words"])

    def apply(self) -> list[str]:
        return [f"{word} {self.run.check} {self.run.wait}" for word in self.differences()]


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


def test_apply_says_what_was_done() -> None:
    done = kinds.apply([resource("x"), resource("y")], check=False, planned=False)
    assert done == {"changed": True, "done": ["x False 60", "y False 60"], "diff": []}
    assert not kinds.apply([resource()], check=True, planned=True)["changed"]
    assert kinds.apply([resource("x")], check=True, planned=True)["done"] == ["x True 0"]


@pytest.mark.parametrize(
    ("check", "planned", "error", "failed"),
    [
        (True, True, UnansweredError("refused"), False),
        (True, True, QinlingError("no certificate"), True),
        (True, False, UnansweredError("refused"), True),
        (False, True, UnansweredError("refused"), True),
    ],
    ids=["still to be deployed", "another error", "somebody else's", "a real run"],
)
def test_a_server_that_does_not_answer_may_still_be_deployed(
    check: bool, planned: bool, error: Exception, failed: bool
) -> None:
    result = kinds.apply([resource(error=error), resource("x")], check=check, planned=planned)
    assert (result.get("failed", False), result.get("msg", "")) == (failed, str(error) if failed else "")
    # After an error nothing else is applied.
    assert len(result["done"]) == (0 if failed else 2)


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
