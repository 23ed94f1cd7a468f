# SPDX-License-Identifier: Apache-2.0
"""The module keystone_service: who is asked, and when the administrator is needed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, UnansweredError
from ansible_collections.qinling.kolla.plugins.modules import keystone_service

# New in ansible-core 2.17.
patch_module_args = pytest.importorskip("ansible.module_utils.testing").patch_module_args

GIVEN = {
    "auth": {"auth_url": "http://keystone", "username": "admin", "password": "the secret"},
    "users": [{"user": "qinling", "password": "another secret", "project": "service", "role": "service"}],
    "services": [{"name": "qinling", "type": "function-engine", "endpoints": []}],
}
MISSING = {"missing": ["login of user qinling in project service"], "locked_out": ["qinling"]}


def run(capsys: pytest.CaptureFixture[str], **more: Any) -> dict[str, Any]:
    with patch_module_args({**GIVEN, **more}), pytest.raises(SystemExit):
        keystone_service.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_nobody_needs_the_administrator_where_nothing_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(keystone_service, "openstack", None)
    monkeypatch.setattr(
        keystone_service, "look", lambda params: asked.append(params) or {"missing": [], "locked_out": []}
    )
    result = run(capsys)
    assert (result["changed"], result["done"]) == (False, [])
    assert (asked[0]["auth_url"], asked[0]["wait"]) == ("http://keystone", 60)


def test_what_is_missing_is_made(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(keystone_service, "openstack", object())
    monkeypatch.setattr(keystone_service, "look", lambda _params: MISSING)
    monkeypatch.setattr(keystone_service, "make", lambda _params, locked, check: [f"{locked} {check}"])
    result = run(capsys)
    assert (result["changed"], result["done"]) == (True, ["['qinling'] False"])


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (lambda _params: MISSING, "The playbook qinling.kolla.bootstrap_servers installs it."),
        (lambda _params: (_ for _ in ()).throw(QinlingError("Keystone does not answer")), "Keystone does not answer"),
    ],
)
def test_why_it_can_not_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], look: Any, words: str
) -> None:
    monkeypatch.setattr(keystone_service, "openstack", None)
    monkeypatch.setattr(keystone_service, "look", look)
    result = run(capsys)
    assert result["failed"]
    assert words in result["msg"]


@pytest.mark.parametrize(
    ("more", "error", "changed"),
    [
        ({"_ansible_check_mode": True, "to_come": True}, UnansweredError("refused"), True),
        ({"_ansible_check_mode": True, "to_come": True}, QinlingError("no certificate"), None),
        ({"_ansible_check_mode": True}, UnansweredError("refused"), None),
        ({"to_come": True}, UnansweredError("refused"), None),
    ],
    ids=["still to come", "another error", "somebody else's", "a real run"],
)
def test_one_that_does_not_answer_may_be_still_to_come(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: dict[str, Any],
    error: QinlingError,
    changed: bool | None,
) -> None:
    monkeypatch.setattr(keystone_service, "look", lambda _params: (_ for _ in ()).throw(error))
    result = run(capsys, **more)
    assert (result.get("changed"), result.get("failed", False)) == (changed, changed is None)
