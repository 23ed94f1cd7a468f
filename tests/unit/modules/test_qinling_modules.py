# SPDX-License-Identifier: Apache-2.0
"""Requests, changes and messages of the modules runtime, function and execution."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.qinling.kolla.plugins.module_utils._openstack import runtime
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import QinlingError, Response
from ansible_collections.qinling.kolla.plugins.modules import execution, function

RUNTIME = {"id": "r1", "name": "python3", "image": "old", "trusted": True, "status": "available"}
PARAMS = {
    "name": "python3",
    "image": "old",
    "trusted": None,
    "description": None,
    "state": "present",
    "detach": False,
    "engine": "qinling_engine",
}
FUNCTION = {
    "name": "f",
    "runtime": "python3",
    "entry": "main.main",
    "files": {"main.py": "x = 'ü'\n"},
    "package": None,
    "description": None,
    "cpu": None,
    "memory_size": None,
    "timeout": None,
    "state": "present",
}


def run_runtime(cloud: Any, check: bool = False, **params: Any) -> dict[str, Any]:
    return runtime.Runtime(cloud.api(), {**PARAMS, **params}, check).run()


def run_function(cloud: Any, check: bool = False, **params: Any) -> dict[str, Any]:
    return function.Function(cloud.api(), {**FUNCTION, **params}, check).run()


RUNTIMES = {
    "missing": ([], {}, ["POST /runtimes"]),
    "present": ([RUNTIME], {}, []),
    "present, by ID": ([RUNTIME], {"name": "r1"}, []),
    "another image": ([RUNTIME], {"image": "new"}, ["PUT /runtimes/r1"]),
    "another description": ([RUNTIME], {"description": "d"}, ["PUT /runtimes/r1"]),
    "broken": ([{**RUNTIME, "status": "error"}], {}, ["DELETE /runtimes/r1", "POST /runtimes"]),
    "removed": ([RUNTIME], {"state": "absent"}, ["DELETE /runtimes/r1"]),
    "already absent": ([], {"state": "absent"}, []),
}


@pytest.mark.parametrize(("present", "params", "calls"), RUNTIMES.values(), ids=RUNTIMES)
def test_runtime(cloud: Any, present: list[dict[str, Any]], params: dict[str, Any], calls: list[str]) -> None:
    cloud.runtimes = [dict(item) for item in present]
    assert run_runtime(cloud, check=True, **params)["changed"] == bool(calls)
    assert cloud.changes() == []
    result = run_runtime(cloud, **params)
    assert cloud.changes() == calls
    assert result["changed"] == bool(calls)
    assert not run_runtime(cloud, **params)["changed"], "the second run is not idempotent"


def test_runtime_waits_until_available(cloud: Any) -> None:
    cloud.runtimes = [{**RUNTIME, "status": "creating"}]
    cloud.later = lambda: cloud.runtimes[0].update(status="available")
    assert run_runtime(cloud)["runtime"]["status"] == "available"


def test_runtime_that_is_being_removed_is_registered_again(cloud: Any) -> None:
    cloud.runtimes = [{**RUNTIME, "status": "deleting"}]
    cloud.later = cloud.runtimes.clear
    assert run_runtime(cloud)["done"] == ["registered"]


def fails_to_start(cloud: Any) -> None:
    cloud.update = lambda _kind, item, sent: {**item, **sent, "status": "creating"}
    cloud.later = lambda: cloud.runtimes[0].update(status="error", image="new")
    cloud.answer = _once_busy(cloud.answer, "creating")


def rolls_back(cloud: Any) -> None:
    cloud.runtimes = [dict(RUNTIME)]
    cloud.update = lambda _kind, item, _sent: {**item, "status": "upgrading"}


def stays_busy(cloud: Any) -> None:
    cloud.runtimes = [{**RUNTIME, "status": "upgrading"}]


def other_trust(cloud: Any) -> None:
    cloud.runtimes = [{**RUNTIME, "trusted": False}]


def _once_busy(answer: Any, status: str) -> Any:
    def busy(method: str, path: str, sent: Any) -> Any:
        code, data = answer(method, path, sent)
        if method == "GET" and path.startswith("/runtimes/") and data["status"] != "error":
            return code, {**data, "status": status}
        return code, data

    return busy


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (fails_to_start, "could not be started from image new; see docker logs qinling_engine"),
        (rolls_back, "rolled back to old; see docker logs qinling_engine"),
        (stays_busy, "is still upgrading after 30 seconds"),
        (other_trust, "trusted is False and Qinling cannot change that"),
    ],
)
def test_runtime_failures(cloud: Any, prepare: Any, message: str) -> None:
    prepare(cloud)
    with pytest.raises(QinlingError, match=message):
        run_runtime(cloud, image="new", trusted=True)


@pytest.mark.parametrize("detach", [False, True])
def test_image_of_a_used_runtime_changes_only_with_detach(cloud: Any, detach: bool) -> None:
    cloud.runtimes = [dict(RUNTIME)]
    cloud.functions = [{"id": "f1", "name": "f", "runtime_id": "r1"}, {"id": "f2", "name": "g", "runtime_id": "r2"}]
    answer = cloud.answer

    def in_use(method: str, path: str, sent: Any) -> Any:
        if method == "PUT" and "POST /functions/f1/detach" not in cloud.calls:
            return 403, {"faultstring": "Runtime r1 is still in use by functions."}
        return answer(method, path, sent)

    cloud.answer = in_use
    if detach:
        assert run_runtime(cloud, image="new", detach=True)["runtime"]["image"] == "new"
        assert cloud.changes() == ["PUT /runtimes/r1", "POST /functions/f1/detach", "PUT /runtimes/r1"]
    else:
        with pytest.raises(QinlingError, match=r"still in use by functions\..*set detach"):
            run_runtime(cloud, image="new")


def test_function_is_idempotent(cloud: Any) -> None:
    cloud.runtimes = [dict(RUNTIME)]
    assert run_function(cloud, check=True)["changed"]
    assert not cloud.changes()
    assert run_function(cloud)["done"] == ["created"]
    fields, files = cloud.sent[-1]
    assert fields["runtime_id"] == "r1"
    assert zipfile.ZipFile(io.BytesIO(files["package"])).read("main.py").decode() == "x = 'ü'\n"
    assert not run_function(cloud)["changed"]
    steps: list[tuple[dict[str, Any], list[str], bool]] = [
        ({"timeout": 7}, ["changed timeout"], False),
        ({"timeout": 7, "cpu": 200, "entry": "main.other"}, ["changed entry", "changed cpu"], False),
        ({"entry": "main.other", "files": {"main.py": "y"}}, ["changed package"], True),
    ]
    for params, done, uploads in steps:
        assert run_function(cloud, check=True, **params)["done"] == done
        assert run_function(cloud, **params)["done"] == done
        assert ("package" in cloud.sent[-1][1]) == uploads
        assert not run_function(cloud, **params)["changed"]
    assert run_function(cloud, state="absent")["done"] == ["removed"]
    assert not run_function(cloud, state="absent")["changed"]


def test_function_waits_for_its_runtime(cloud: Any) -> None:
    cloud.runtimes = [{**RUNTIME, "status": "creating"}]
    cloud.later = lambda: cloud.runtimes[0].update(status="available")
    assert run_function(cloud)["changed"]


def modified_upload(cloud: Any) -> None:
    update = cloud.update
    cloud.update = lambda *given: {**update(*given), "code": {"source": "package", "md5sum": "other"}}


def another_runtime(cloud: Any) -> None:
    cloud.functions = [{"id": "f1", "name": "f", "runtime_id": "r2", "code": {"source": "package"}}]


def image_source(cloud: Any) -> None:
    cloud.functions = [{"id": "f1", "name": "f", "runtime_id": "r1", "code": {"source": "image"}}]


def duplicate_name(cloud: Any) -> None:
    cloud.functions = [{"id": "f1", "name": "f"}, {"id": "f2", "name": "f"}]


def broken_runtime(cloud: Any) -> None:
    cloud.runtimes[0]["status"] = "error"


def no_runtime(cloud: Any) -> None:
    cloud.runtimes[0]["name"] = "python2"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (modified_upload, "Qinling has a package with MD5 other; expected"),
        (another_runtime, "its runtime is r2; expected r1"),
        (image_source, "its source is image"),
        (duplicate_name, "2 functions have the name f: f1, f2"),
        (broken_runtime, "runtime python3: status error"),
        (no_runtime, "runtime python3 does not exist at http://qinling; existing runtimes: python2"),
    ],
)
def test_function_failures(cloud: Any, prepare: Any, message: str) -> None:
    cloud.runtimes = [dict(RUNTIME)]
    prepare(cloud)
    with pytest.raises(QinlingError, match=message):
        run_function(cloud)


def test_zip_does_not_depend_on_the_order() -> None:
    one = function.zip_of({"main.py": "a", "lib/b.py": "b"})
    assert one == function.zip_of({"lib/b.py": "b", "main.py": "a"})
    # A changed MD5 would upload every function again.
    assert function.md5(function.zip_of({"main.py": "x = 1\n"})) == "3c8307e68492fa73d375f50c54ab5d73"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../x", "a\\b", "a/", "."])
def test_zip_rejects_unsafe_paths(name: str) -> None:
    with pytest.raises(QinlingError, match="is invalid; expected a relative path"):
        function.zip_of({name: "x"})


@pytest.mark.parametrize(("files", "message"), [({}, "at least one"), ({"a.json": {"a": 1}}, "is dict; expected text")])
def test_zip_rejects_invalid_files(files: dict[str, Any], message: str) -> None:
    with pytest.raises(QinlingError, match=message):
        function.zip_of(files)


def test_read_package(tmp_path: Path) -> None:
    path = tmp_path / "f.zip"
    with pytest.raises(QinlingError, match="cannot be read: No such file"):
        function.read_package(str(path))
    path.write_text("no archive")
    with pytest.raises(QinlingError, match="is not a zip archive"):
        function.read_package(str(path))
    path.write_bytes(function.zip_of({"main.py": "x"}))
    assert function.read_package(str(path)) == path.read_bytes()


OUTCOMES = {
    "a text": ('{"duration": 0.5, "output": "hi"}', ("hi", 0.5)),
    "data": ({"duration": 0.5, "output": {"a": 1}}, ({"a": 1}, 0.5)),
    "the engine's error": ('{"output": "failed"}', ("failed", None)),
    "something else": ('{"error": "x"}', ({"error": "x"}, None)),
    "no JSON": ("oops", ("oops", None)),
    "nothing": (None, (None, None)),
}


@pytest.mark.parametrize(("result", "expected"), OUTCOMES.values(), ids=OUTCOMES)
def test_outcome(result: Any, expected: tuple[Any, Any]) -> None:
    assert execution.outcome_of(result) == expected


@pytest.mark.parametrize("keep", [True, False])
def test_call(cloud: Any, keep: bool) -> None:
    cloud.functions = [{"id": "f1", "name": "f"}]
    cloud.execution = {"id": "e1", "status": "success", "result": '{"duration": 0.5, "output": "hi"}'}
    result = execution.call(cloud.api(), {"function": "f", "input": {"a": 1}, "timeout": 5, "keep": keep})
    assert result == {
        "changed": keep,
        "execution_id": "e1",
        "status": "success",
        "result": "hi",
        "log": "printed\n",
        "duration": 0.5,
    }
    assert cloud.changes() == ["POST /executions", *([] if keep else ["DELETE /executions/e1"])]
    assert {"function_id": "f1", "input": '{"a": 1}', "sync": True} in cloud.sent


def test_failure_message_has_result_log_and_advice() -> None:
    result = {"status": "error", "result": {"a": 1}, "log": "trace\n", "execution_id": "e1"}
    assert execution.failure_of("f", "my_engine", result) == (
        'function f: status error, result: {"a": 1}; it printed: trace; see docker logs my_engine for execution e1'
    )


def test_accepted_call_is_not_repeated(cloud: Any) -> None:
    cloud.functions = [{"id": "f1", "name": "f"}]
    api = cloud.api()
    api.list("function")
    listed = b'{"functions": [{"id": "f1", "name": "f"}]}'
    cloud.queue = [Response(200, {}, listed), ConnectionResetError("reset by peer")]
    with pytest.raises(QinlingError, match="reset by peer"):
        execution.call(api, {"function": "f", "input": {}, "timeout": 5, "keep": True})
    assert cloud.changes() == []
