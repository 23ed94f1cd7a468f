# SPDX-License-Identifier: Apache-2.0
"""Origins of options."""

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


QUERIES = {
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


@pytest.mark.parametrize(("query", "expected"), QUERIES.items())
def test_query_selects_options(query: str, expected: list[str]) -> None:
    found, names = origins.origins_for(services(), query, [])
    assert sorted(f"{origin['section']}.{origin['option']}" for origin in found) == expected
    assert names == QUERIES[""]


def test_origins_are_listed_from_last_to_first() -> None:
    (origin,) = origins.origins_for(services(), "DEFAULT.host", [])[0]
    assert origin["file"] == "api/q.conf"
    assert [(step["text"], step["origin"]) for step in origin["steps"]] == [
        ("host = c\nhost = d", "own.conf:2,3"),
        ("host = b", "global.conf:2"),
        ("host = a", "t.j2:2"),
    ]


@pytest.mark.parametrize(
    ("query", "secret", "shown"),
    [
        ("transport_url", False, "transport_url = ***"),
        ("note", False, "note = of ***"),
        ("kube_host", False, "kube_host = http://x"),
        ("kube_host", True, "kube_host = ***"),
    ],
)
def test_secrets_are_masked_as_in_a_diff(query: str, secret: bool, shown: str) -> None:
    (origin,) = origins.origins_for(services(secret), query, ["hunter2"])[0]
    assert origin["steps"][0]["text"] == shown


SIMILAR = {
    "kubernetes.kube_hots": ["kubernetes.kube_host"],
    "kubernets.kube_host": ["kubernetes.kube_host"],
    "DEFAULT.kube_host": ["kubernetes.kube_host", "DEFAULT.host"],
    "kube_hots": ["kubernetes.kube_host"],
    "kubernets": ["kubernetes"],
    "nothing_like_it": [],
}


@pytest.mark.parametrize(("query", "expected"), SIMILAR.items())
def test_similar_options_are_suggested(query: str, expected: list[str]) -> None:
    assert origins.similar_options(query, QUERIES[""]) == expected


def test_hosts_with_the_same_origin_share_an_entry() -> None:
    origin = {"file": "api/q.conf", "section": "DEFAULT", "option": "host"}
    own, other = ({"text": f"host = {host}", "origin": "t:1", "variables": ["inventory_hostname"]} for host in "ab")
    shared = {"text": "host = c", "origin": "g:1", "variables": []}
    by_host = {
        "one": [{**origin, "steps": [shared, own]}],
        "two": [{**origin, "steps": [shared]}],
        "three": [{**origin, "steps": [shared]}],
        "four": [{**origin, "steps": [other]}],
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
