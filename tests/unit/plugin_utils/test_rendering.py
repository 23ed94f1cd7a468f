# SPDX-License-Identifier: Apache-2.0
"""Rendering of files from their specifications."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding, FindingsError
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import rendering
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.relocation import Relocation
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import Rendered, Source, relocate

SOURCES = {
    "t.j2": b"name=<service_name>\n",
    "base.conf": b"[DEFAULT]\nservice = <service_name>\na = 1\n",
    "broken.j2": b"BOOM\n",
    "binary.j2": b"ok\n\xff\n",
    "global.conf": b"[DEFAULT]\na = <service_name>\nb = 1\nb = 2\n",
    "qinling.conf": b"[DEFAULT]\nb = 3\n[new]\nc = 4\n",
    "bad.conf": b"[DEFAULT]\nnonsense\n",
    "boom.conf": b"BOOM\n",
    "orphan.conf": b"x = 1\n",
    "secret.conf": b"[DEFAULT]\na = hidden\n",
    "policy.yaml": b'"get": "role:x"\n',
    "policy.json": b'{"get": "role:y or role:admin"}\n',
    "typo.yaml": b'"gte": "role:x"\n',
    "blob": b"\0\xff{{ not rendered }}",
    "vaulted.key": b"key",
}


def read(path: str) -> Source | None:
    content = SOURCES.get(path)
    return None if content is None else Source(path, content, path in {"vaulted.key", "secret.conf"})


def render(text: str, path: str, variables: Mapping[str, Any]) -> str:
    if "BOOM" in text:
        raise FindingsError([Finding(path, 7, "cannot be rendered: BOOM")])
    for name, value in variables.items():
        text = text.replace(f"<{name}>", str(value))
    return text


def run(*files: Any) -> Rendered:
    return rendering.render_services({"api": list(files)}, read, render)


RULES = {"get": "role:admin", "put": "role:admin"}
CONTENTS: dict[str, tuple[dict[str, Any], bytes | None]] = {
    "template": ({"template": "t.j2"}, b"name=api\n"),
    "first template": ({"template": ["none.j2", "t.j2"]}, b"name=api\n"),
    "content": ({"content": "{{ as it is }}\n"}, b"{{ as it is }}\n"),
    "copy": ({"copy": "blob"}, b"\0\xff{{ not rendered }}"),
    "first copy": ({"copy": ["none", "blob"]}, b"\0\xff{{ not rendered }}"),
    "json": ({"json": {"b": 1, "a": ["é", None, True]}}, None),
    "ini of a template": ({"ini": {"template": "base.conf"}}, b"[DEFAULT]\na = 1\nservice = api\n"),
    "ini with overrides": (
        {"ini": {"template": "base.conf", "overrides": ["none.conf", "global.conf", "qinling.conf"]}},
        b"[DEFAULT]\na = api\nb = 3\nservice = api\n\n[new]\nc = 4\n",
    ),
    "ini with options before any section": (
        {"ini": {"template": "base.conf", "overrides": ["orphan.conf"]}},
        b"x = 1\n\n[DEFAULT]\na = 1\nservice = api\n",
    ),
    "policy": ({"policy": {"defaults": RULES}}, b"get: role:admin\nput: role:admin\n"),
    "policy with override": (
        {"policy": {"defaults": RULES, "overrides": ["none.yaml", "policy.json"]}},
        b"get: role:y or role:admin\nput: role:admin\n",
    ),
}


@pytest.mark.parametrize(("spec", "mode"), [({}, 0o600), ({"mode": "0600"}, 0o600), ({"mode": "0644"}, 0o644)])
def test_modes(spec: dict[str, Any], mode: int) -> None:
    (file,) = rendering.desired_files(run({"dest": "x", "content": "", **spec}))["api"]
    assert file.mode == mode


@pytest.mark.parametrize("mode", [0o644, "644", "0666", "rw-"])
def test_invalid_modes_are_reported(mode: Any) -> None:
    (finding,) = run({"dest": "x", "content": "", "mode": mode}).findings
    assert "expected one of '0600', '0644'" in str(finding)


@pytest.mark.parametrize(("spec", "expected"), CONTENTS.values(), ids=CONTENTS)
def test_contents(spec: dict[str, Any], expected: bytes | None) -> None:
    result = run({"dest": "x", **spec})
    assert result.findings == []
    assert result.warnings == []
    (file,) = result.services["api"]
    assert (file.path, file.secret) == ("x", False)
    if expected is not None:
        assert file.content == expected
    else:
        assert json.loads(file.content) == spec["json"]
        assert file.content.endswith(b"}\n")
    assert run({"dest": "x", **spec}).services == result.services


ABSENT = {
    "template": {"template": ["none.j2", "neither.j2"]},
    "copy": {"copy": "none"},
    "ini": {"ini": {"template": "none.conf"}},
}


@pytest.mark.parametrize("spec", ABSENT.values(), ids=ABSENT)
def test_missing_source_is_reported(spec: dict[str, Any]) -> None:
    result = run({"dest": "x", **spec})
    assert len(result.findings) == 1
    assert result.findings[0].where == "api/x"
    assert "none" in result.findings[0].message


WRONG: dict[str, tuple[Any, str]] = {
    "no dest": ({"content": ""}, "'dest' is missing"),
    "no source": ({"dest": "x"}, "found none"),
    "two sources": ({"dest": "x", "content": "", "copy": "blob"}, "found content, copy"),
    "unknown key": ({"dest": "x", "content": "", "owner": "root"}, "unknown keys: owner"),
    "not a mapping": ("x", "'dest' is missing"),
    "ini without a template": ({"dest": "x", "ini": {"overrides": []}}, "expects template"),
    "ini with unknown key": ({"dest": "x", "ini": {"template": "base.conf", "override": []}}, "expects template"),
    "ini that is not a mapping": ({"dest": "x", "ini": "base.conf"}, "expects template"),
    "policy without defaults": ({"dest": "x", "policy": {"overrides": []}}, "expects defaults"),
    "not UTF-8": ({"dest": "x", "template": "binary.j2"}, "not UTF-8"),
}


@pytest.mark.parametrize(("spec", "words"), WRONG.values(), ids=WRONG)
def test_invalid_specifications_are_reported(spec: Any, words: str) -> None:
    result = run(spec)
    assert any(words in finding.message for finding in result.findings)
    assert result.services == {"api": []}


def test_findings_of_all_files_are_reported_together() -> None:
    result = rendering.render_services(
        {
            "a": [{"dest": "1", "template": "none.j2"}, {"dest": "2", "template": "broken.j2"}],
            "b": [{"dest": "3", "ini": {"template": "base.conf", "overrides": ["bad.conf", "boom.conf"]}}],
            "c": "wrong",
            "d": {"file": []},
        },
        read,
        render,
    )
    assert [(finding.where, finding.line) for finding in result.findings] == [
        ("a/1", 0),
        ("broken.j2", 7),
        ("bad.conf", 2),
        ("boom.conf", 7),
        ("files.c", 0),
        ("files.d", 0),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"copy": "vaulted.key"},
        {"content": "", "secret": True},
        {"ini": {"template": "base.conf", "overrides": ["secret.conf"]}},
    ],
)
def test_encrypted_and_secret_files_are_secret(spec: dict[str, Any]) -> None:
    (file,) = run({"dest": "x", **spec}).services["api"]
    assert file.secret


def test_second_policy_file_and_lockout_cause_warnings() -> None:
    both = run({"dest": "x", "policy": {"defaults": RULES, "overrides": ["policy.yaml", "policy.json"]}})
    assert yaml.safe_load(both.services["api"][0].content)["get"] == "role:x"
    assert both.warnings[0] == "the policy is read from policy.yaml; policy.json is ignored"
    assert [warning for warning in both.warnings[1:] if "the role admin no longer suffices for get" in warning]


def test_unknown_rule_is_reported() -> None:
    result = run({"dest": "x", "policy": {"defaults": RULES, "overrides": ["typo.yaml"]}})
    assert [str(finding)[:19] for finding in result.findings] == ["typo.yaml:1: rule g"]


def test_options_have_the_lines_of_their_files() -> None:
    (file,) = run({"dest": "x", **CONTENTS["ini with overrides"][0]}).services["api"]
    assert file.sections
    default = file.sections["DEFAULT"]
    assert (default["service"].origin, default["service"].replaced) == ("base.conf:2", ())
    assert default["a"].origin == "global.conf:2"
    assert [option.origin for option in default["a"].replaced] == ["base.conf:3"]
    assert default["b"].origin == "qinling.conf:2"
    assert [option.origin for option in default["b"].replaced] == ["global.conf:3,4"]


RELOCATED = {
    "same line": ("a\nbad\n", "a\nbad\n", 2, 2),
    "a block above": ("{% if x %}\na\n{% endif %}\nbad\n", "a\nbad\n", 2, 4),
    "the same line above and below": ("bad\n{% x %}\n{% x %}\nbad\n", "bad\nbad\n", 2, 4),
    "a value from a variable": ("{% if x %}\n{% endif %}\na = {{ x }}\n", "a = 1\n", 1, 3),
    "one of two branches": (
        "[A]\n{% if x %}\n# one\na = {{ x }}\n{% else %}\n# other\na = {{ y }}\n{% endif %}\nb = 1\n",
        "[A]\n# other\na = 1\nb = 1\n",
        3,
        7,
    ),
    "a loop": ("{% for i in x %}\na = {{ i }}\n{% endfor %}\nb = 1\n", "a = 1\na = 2\na = 3\nb = 1\n", 2, 2),
    "rendered from an expression": ("{{ x }}\n", "bad\n", 1, 0),
}


@pytest.mark.parametrize(("raw", "text", "line", "expected"), RELOCATED.values(), ids=RELOCATED)
def test_lines_are_those_of_the_template(raw: str, text: str, line: int, expected: int) -> None:
    relocation = Relocation(raw, text)
    assert relocation.line(line) == expected
    found = relocate(Finding("f", line, "m"), relocation)
    assert found == Finding("f", expected or line, "m" if expected else "m (line counted after templating)")
    assert relocate(Finding("f", 0, "m"), relocation) == Finding("f", 0, "m")


def test_to_plain_returns_exact_types() -> None:
    class Tagged(str):
        __slots__ = ()

    data = rendering.to_plain({Tagged("a"): (Tagged("b"), {3}, 1.5, None, True)})
    assert data == {"a": ["b", [3], 1.5, None, True]}
    assert {type(key) for key in data} == {str}
    assert data["a"][0].__class__ is str
