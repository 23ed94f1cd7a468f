# SPDX-License-Identifier: Apache-2.0
"""Which file set an option."""

import pytest
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini, origins
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import RenderedFile

LAYERS = {
    "t.j2": "[DEFAULT]\nhost = a\ntransport_url = rabbit://u:hunter2@h\n[kubernetes]\nkube_host = http://x\n",
    "global.conf": "[DEFAULT]\nhost = b\n",
    "own.conf": "[DEFAULT]\nhost = c\nhost = d\n[kubernetes]\nnote = of hunter2\n",
}


def services(secret: bool = False) -> dict[str, list[RenderedFile]]:
    sections = ini.merge(ini.parse(text, source)[0] for source, text in LAYERS.items())
    file = RenderedFile("q.conf", ini.render(sections).encode(), secret, sections)
    return {"api": [RenderedFile("x", b""), file]}


QUESTIONS = {
    "": ["DEFAULT.host", "DEFAULT.transport_url", "kubernetes.kube_host", "kubernetes.note"],
    "kubernetes": ["kubernetes.kube_host", "kubernetes.note"],
    "[kubernetes]": ["kubernetes.kube_host", "kubernetes.note"],
    "host": ["DEFAULT.host"],
    "DEFAULT.host": ["DEFAULT.host"],
    "default.host": ["DEFAULT.host"],
    "[DEFAULT]/host": ["DEFAULT.host"],
    "[DEFAULT] host": ["DEFAULT.host"],
    "DEFAULT/host": ["DEFAULT.host"],
    "kubernetes.host": [],
    "hos": [],
}


@pytest.mark.parametrize(("question", "expected"), QUESTIONS.items())
def test_what_a_question_asks_for(question: str, expected: list[str]) -> None:
    found, names = origins.answers(services(), question, [])
    assert sorted(f"{answer['section']}.{answer['option']}" for answer in found) == expected
    assert names == QUESTIONS[""]


def test_the_last_file_is_in_force_and_the_others_are_told_from_last_to_first() -> None:
    (answer,) = origins.answers(services(), "DEFAULT.host", [])[0]
    assert answer["file"] == "api/q.conf"
    assert [(step["text"], step["origin"]) for step in answer["steps"]] == [
        ("host = c\nhost = d", "own.conf:2,3"),
        ("host = b", "global.conf:2"),
        ("host = a", "t.j2:2"),
    ]


@pytest.mark.parametrize(
    ("question", "secret", "shown"),
    [
        ("transport_url", False, "transport_url = ***"),
        ("note", False, "note = of ***"),
        ("kube_host", False, "kube_host = http://x"),
        ("kube_host", True, "kube_host = ***"),
    ],
)
def test_secrets_are_masked_as_in_a_diff(question: str, secret: bool, shown: str) -> None:
    (answer,) = origins.answers(services(secret), question, ["hunter2"])[0]
    assert answer["steps"][0]["text"] == shown


NEAR = {
    "kubernetes.kube_hots": ["kubernetes.kube_host"],
    "kubernets.kube_host": ["kubernetes.kube_host"],
    "DEFAULT.kube_host": ["kubernetes.kube_host", "DEFAULT.host"],
    "kube_hots": ["kubernetes.kube_host"],
    "kubernets": ["kubernetes"],
    "nothing_like_it": [],
}


@pytest.mark.parametrize(("question", "expected"), NEAR.items())
def test_near_misses(question: str, expected: list[str]) -> None:
    assert origins.near(question, QUESTIONS[""]) == expected


def test_hosts_of_which_the_same_is_true_stand_together() -> None:
    answer = {"file": "api/q.conf", "section": "DEFAULT", "option": "host"}
    own, other = ({"text": f"host = {host}", "origin": "t:1", "variables": ["inventory_hostname"]} for host in "ab")
    shared = {"text": "host = c", "origin": "g:1", "variables": []}
    by_host = {
        "one": [{**answer, "steps": [shared, own]}],
        "two": [{**answer, "steps": [shared]}],
        "three": [{**answer, "steps": [shared]}],
        "four": [{**answer, "steps": [other]}],
        "five": [],
    }
    assert (
        origins.text(by_host)
        == """\
[DEFAULT] host
  api/q.conf on one
    host = c
      set in g:1
    instead of
      host = a
        set in t:1, from inventory_hostname
  api/q.conf on two, three
    host = c
      set in g:1
  api/q.conf on four
    host = b
      set in t:1, from inventory_hostname"""
    )
