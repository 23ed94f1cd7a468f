# SPDX-License-Identifier: Apache-2.0
"""Input of executions, jobs and webhooks: accepted as documented, or refused with 400 and the reason."""

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Recorder

Call = Callable[..., Any]

DEEP = "[" * 100_000
# (input, arguments of the function); text is the positional argument.
TAKEN = [
    ('{"a": 1}', {"a": 1}),
    ("{}", {}),
    ('{"a": [1, true, null, {"b": 1.5}]}', {"a": [1, True, None, {"b": 1.5}]}),
    ("null", None),
    ("", None),
    (None, None),
    ("6", {"__function_input": "6"}),
    ("-1.5e3", {"__function_input": "-1.5e3"}),
    ('"text"', {"__function_input": "text"}),
    ('""', {"__function_input": ""}),
    ("text", {"__function_input": "text"}),
    ("{", {"__function_input": "{"}),
    ("\N{SNOWMAN}", {"__function_input": "\N{SNOWMAN}"}),
    ('{"__function_input": "text"}', {"__function_input": "text"}),
    ("[" * 99 + "]" * 99 + "x", {"__function_input": "[" * 99 + "]" * 99 + "x"}),
]
REFUSED = [
    ("[1,2]", "a JSON list"),
    ("[]", "a JSON list"),
    ("true", "a JSON boolean"),
    ("false", "a JSON boolean"),
    ("NaN", "NaN is not a JSON number"),
    ("-Infinity", "-Infinity is not a JSON number"),
    ("1e400", "1e400 is not a JSON number"),
    ('{"a": NaN}', "NaN is not a JSON number"),
    ('{"a": 1e400}', "1e400 is not a JSON number"),
    ('{"a": ' + "9" * 5000 + "}", "too many digits"),
    ("9" * 5000, "too many digits"),
    (DEEP, "nested too deeply"),
    ('{"a":' * 101 + "1" + "}" * 101, "nested deeper than 100 levels"),
    ('{"__function_input": 5}', "__function_input is reserved"),
    ('{"__function_input": null}', "__function_input is reserved"),
]


@pytest.fixture
def function(db: Any) -> str:
    runtime = db.create_runtime({"image": "python:1", "status": "available"})
    code = {"source": "package", "md5sum": "0" * 32}
    return str(db.create_function({"runtime_id": runtime.id, "code": code, "timeout": 5}).id)


def handed_over(engine_client: Recorder) -> list[Any]:
    """Return the inputs passed to the engine since the last call."""
    found = [arguments["input"] for _unused, arguments in engine_client.named("create_execution")]
    engine_client.calls.clear()
    return found


def refused(response: Any, name: str, reason: str) -> None:
    text = response.json["faultstring"]
    assert response.status_int == 400, text
    assert text.startswith(f"{name}: ")
    assert reason in text
    assert "expected a JSON object" in text


@pytest.mark.parametrize(("given", "expected"), TAKEN)
def test_execution_accepts_input(call: Call, function: str, engine_client: Recorder, given: Any, expected: Any) -> None:
    response = call("POST", "/v1/executions", {"function_id": function, "input": given, "sync": False})
    assert response.status_int == 201, response.text
    assert handed_over(engine_client) == [expected]
    assert call("GET", "/v1/executions").status_int == 200


@pytest.mark.parametrize(("given", "reason"), REFUSED)
def test_execution_refuses_input(call: Call, function: str, engine_client: Recorder, given: str, reason: str) -> None:
    refused(call("POST", "/v1/executions", {"function_id": function, "input": given}), "input", reason)
    assert handed_over(engine_client) == []
    assert call("GET", "/v1/executions").json == {"executions": []}


@pytest.mark.parametrize("given", [[1], {"a": 1}, 6, True])
def test_input_that_is_not_text(call: Call, function: str, given: Any) -> None:
    assert call("POST", "/v1/executions", {"function_id": function, "input": given}).status_int == 400


def test_inputs_of_jobs(call: Call, function: str) -> None:
    body = {"function_id": function, "pattern": "0 * * * *"}
    for given, _unused in TAKEN:
        response = call("POST", "/v1/jobs", {**body, "function_input": given})
        assert response.status_int == 201, response.text
    for given, reason in REFUSED:
        refused(call("POST", "/v1/jobs", {**body, "function_input": given}), "function_input", reason)
        refused(call("PUT", f"/v1/jobs/{response.json['id']}", {"function_input": given}), "function_input", reason)
    response = call("PUT", f"/v1/jobs/{response.json['id']}", {"function_input": '{"a": 2}'})
    assert (response.status_int, response.json["function_input"]) == (200, '{"a": 2}')


@pytest.fixture
def invoke(application: Any, call: Call, function: str) -> Callable[..., Any]:
    """Send a body to a webhook, by default as JSON."""
    import webob

    webhook = call("POST", "/v1/webhooks", {"function_id": function}).json["id"]

    def send(body: bytes, content_type: str = "application/json", query: str = "") -> Any:
        request = webob.Request.blank(f"/v1/webhooks/{webhook}/invoke{query}", method="POST")
        request.content_type, request.body = content_type, body
        return request.get_response(application)

    return send


WEBHOOK_DIFFERS = ("null", "", None)


def test_bodies_of_webhooks(invoke: Callable[..., Any], engine_client: Recorder) -> None:
    for given, expected in TAKEN:
        response = invoke((given or "").encode())
        assert response.status_int == 202, response.text
        # Without a body, the input comes from the parameters of the URL.
        assert handed_over(engine_client) == [{} if given in WEBHOOK_DIFFERS else expected]
    for given, reason in REFUSED:
        refused(invoke(given.encode()), "body", reason)
    assert invoke(b'{"a": "\xff"}').status_int == 400
    assert handed_over(engine_client) == []


@pytest.mark.parametrize(
    ("body", "content_type", "query", "expected"),
    [
        (b'{"id": 7, "self": 1, "a": 2}', "application/json", "", {"id": 7, "self": 1, "a": 2}),
        (b'{"a": 2}', "application/json; charset=utf-8", "?b=3", {"a": 2, "b": "3"}),
        (b"", "application/json", "?b=3", {"b": "3"}),
        (b"a=1&b=x", "application/x-www-form-urlencoded", "", {"a": "1", "b": "x"}),
        (b"text", "text/plain", "?b=3", {"b": "3"}),
    ],
)
def test_webhook_input_comes_from_body_and_query(
    invoke: Callable[..., Any], engine_client: Recorder, body: bytes, content_type: str, query: str, expected: Any
) -> None:
    response = invoke(body, content_type, query)
    assert response.status_int == 202, response.text
    assert handed_over(engine_client) == [expected]


@pytest.mark.parametrize("path", ["/v1/executions", "/v1/jobs", "/v1/webhooks", "/v1/runtimes", "/v1/aliases"])
def test_request_nested_too_deeply_is_refused(application: Any, call: Call, path: str) -> None:
    import webob

    request = webob.Request.blank(path, method="POST")
    request.content_type, request.body = "application/json", DEEP.encode()
    response = request.get_response(application)
    assert response.status_int == 400
    assert "nested" in response.json["faultstring"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/webhooks"])
def test_text_that_cannot_be_stored(call: Call, function: str, path: str) -> None:
    body = {"function_id": function, "pattern": "0 * * * *", "name": "\ud800"}
    if path == "/v1/webhooks":
        body = {"function_id": function, "description": "\ud800"}
    response = call("POST", path, body)
    assert response.status_int == 400
    assert "UTF-8" in response.json["faultstring"]
