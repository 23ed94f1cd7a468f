# SPDX-License-Identifier: Apache-2.0
"""Results of option validation become findings with the operator's files and lines."""

from __future__ import annotations

from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import DesiredFile, digest
from ansible_collections.qinling.kolla.plugins.plugin_utils._common.findings import Finding
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.option_findings import (
    classify,
    required_checks,
    to_findings,
)
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import Rendered, RenderedFile

SECTIONS = {
    "DEFAULT": {"a": ini.Option((("1",),), "/c/global.conf", (2,)), "b": ini.Option((("1",),), "/c/own.conf", (3,))},
    "api": {"port": ini.Option((("x",),), "t.j2", (9,), ("qinling_api_port",))},
    "db": {"db_password": ini.Option((("hunter2",),), "/c/own.conf", (5, 6))},
}
FILE = RenderedFile("q.conf", b"text", False, SECTIONS)


def found(section: str, option: str, **item: object) -> dict[str, object]:
    return {"service": "api", "file": "q.conf", "section": section, "option": option, **item}


def test_findings_have_the_origin_of_the_option() -> None:
    findings, warnings = classify(
        [
            found("DEFAULT", "a", kind="unknown", near=["[api] a"]),
            found("DEFAULT", "b", kind="unknown", near=["[api] b", "[x] b"]),
            found("DEFAULT", "a", kind="bad", message="not a number"),
            found("api", "port", kind="bad", message="not a port"),
            found("db", "db_password", kind="bad", message="unknown hunter2"),
            found("db", "db_password", kind="reference"),
        ],
        {("api", "q.conf"): FILE},
        ["/c/global.conf"],
    )
    # A shared file may contain options of other projects, but an invalid value is invalid for all.
    assert [str(warning) for warning in warnings] == [
        "/c/global.conf:2: [DEFAULT] a: unknown option, not registered by the libraries of api; did you mean [api] a?"
    ]
    assert [str(finding) for finding in findings] == [
        "/c/own.conf:3: [DEFAULT] b: unknown option, not registered by the libraries of api; did you mean "
        "[api] b or [x] b?",
        "/c/global.conf:2: [DEFAULT] a: invalid value: not a number",
        "t.j2:9: [api] port: invalid value: not a port (from qinling_api_port)",
        "/c/own.conf:5: [db] db_password: invalid value",
        "/c/own.conf:5: [db] db_password: the value has a $ that does not refer to an option; write $$ for a literal $",
    ]


def test_only_files_with_options_are_checked() -> None:
    other = RenderedFile("policy.yaml", b"rules")
    rendered = Rendered({"api": [FILE, other], "gateway": [other]}, [Finding("engine", 0, "")])
    validate = {
        name: {"image": f"i/{name}", "container": f"c_{name}", "files": ["q.conf"], "provided": ["/p"]}
        for name in ("api", "engine")
    }
    assert required_checks(rendered, validate) == [
        {
            "service": "api",
            "image": "i/api",
            "container": "c_api",
            "digest": digest([DesiredFile("q.conf", 0o600, b"text"), DesiredFile("policy.yaml", 0o600, b"rules")]),
            "provided": ["/p"],
            "files": {"q.conf": "text"},
        }
    ]


def test_skipped_validation_is_a_warning() -> None:
    result = {"found": [], "not_validated": {"api": "the image is missing"}}
    warning = "the options of api were not validated: the image is missing"
    assert to_findings(result, Rendered({"api": [FILE]}), []) == ([], [warning])


def test_missing_file_is_reported_for_the_variable_or_file() -> None:
    sections = {
        "keystone_authtoken": {
            "cafile": ini.Option((("/n",),), "r/q.conf.j2", (7,), ("openstack_cacert",)),
            "certfile": ini.Option((("/n",),), "/c/qinling.conf", (2,), ("folder",)),
        }
    }
    variable_finding, override_finding = classify(
        [found("keystone_authtoken", option, kind="file", message="/n") for option in ("cafile", "certfile")],
        {("api", "q.conf"): RenderedFile("q.conf", b"text", False, sections)},
        [],
    )[0]
    message = "/n is not in the container of api, which reads it for [keystone_authtoken] "
    assert str(variable_finding).startswith(f"openstack_cacert: {message}cafile; expected a file of its image or")
    assert str(override_finding).startswith(f"/c/qinling.conf:2: {message}certfile; expected")
