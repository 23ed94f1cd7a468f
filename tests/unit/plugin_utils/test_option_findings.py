# SPDX-License-Identifier: Apache-2.0
"""What images say of options becomes findings with the operator's files and lines."""

from __future__ import annotations

from ansible_collections.qinling.kolla.plugins.module_utils._config.directory_sync import WantedFile, digest
from ansible_collections.qinling.kolla.plugins.plugin_utils._config import ini
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.option_findings import judged, told, wanted_checks
from ansible_collections.qinling.kolla.plugins.plugin_utils._config.rendering import Rendered, RenderedFile

SECTIONS = {
    "DEFAULT": {"a": ini.Option((("1",),), "/c/global.conf", (2,)), "b": ini.Option((("1",),), "/c/own.conf", (3,))},
    "api": {"port": ini.Option((("x",),), "t.j2", (9,), ("qinling_api_port",))},
    "odd": {"db_password": ini.Option((("hunter2",),), "/c/own.conf", (5, 6))},
}
FILE = RenderedFile("q.conf", b"text", False, SECTIONS)


def found(section: str, option: str, **item: object) -> dict[str, object]:
    return {"service": "api", "file": "q.conf", "section": section, "option": option, **item}


def test_findings_have_the_place_that_set_the_option() -> None:
    findings, warnings = judged(
        [
            found("DEFAULT", "a", kind="unknown", near=["[api] a"]),
            found("DEFAULT", "b", kind="unknown", near=["[api] b", "[x] b"]),
            found("DEFAULT", "a", kind="bad", message="no number"),
            found("api", "port", kind="bad", message="no port"),
            found("odd", "db_password", kind="bad", message="no such thing as hunter2"),
            found("odd", "db_password", kind="reference"),
        ],
        {("api", "q.conf"): FILE},
        ["/c/global.conf"],
    )
    # A file of all projects may hold options of others; a value that is bad is bad for all.
    assert [str(warning) for warning in warnings] == [
        "/c/global.conf:2: [DEFAULT] a: the libraries of api know no such option; did you mean [api] a?"
    ]
    assert [str(finding) for finding in findings] == [
        "/c/own.conf:3: [DEFAULT] b: the libraries of api know no such option; did you mean [api] b or [x] b?",
        "/c/global.conf:2: [DEFAULT] a: the value is not valid: no number",
        "t.j2:9: [api] port: the value is not valid: no port (it comes from qinling_api_port)",
        "/c/own.conf:5: [odd] db_password: the value is not valid",
        "/c/own.conf:5: [odd] db_password: its value has a $ that refers to no option; write $$ for the character",
    ]


def test_only_what_holds_options_is_checked_and_the_digest_is_that_of_the_label() -> None:
    other = RenderedFile("policy.yaml", b"rules")
    rendered = Rendered({"api": [FILE, other], "relay": [other]}, ["engine"])
    validate = {
        name: {"image": f"i/{name}", "container": f"c_{name}", "files": ["q.conf"], "provided": ["/p"]}
        for name in ("api", "engine")
    }
    assert wanted_checks(rendered, validate) == [
        {
            "service": "api",
            "image": "i/api",
            "container": "c_api",
            "digest": digest([WantedFile("q.conf", 0o600, b"text"), WantedFile("policy.yaml", 0o600, b"rules")]),
            "provided": ["/p"],
            "files": {"q.conf": "text"},
        }
    ]


def test_what_was_not_validated_is_a_warning() -> None:
    answer = {"found": [], "not_validated": {"api": "it is not there"}}
    warning = "the options of api were not validated: it is not there"
    assert told(answer, Rendered({"api": [FILE]}), []) == ([], [warning])


def test_a_file_that_is_missing_is_the_fault_of_the_variable_or_file_that_names_it() -> None:
    sections = {
        "keystone_authtoken": {
            "cafile": ini.Option((("/n",),), "r/q.conf.j2", (7,), ("openstack_cacert",)),
            "certfile": ini.Option((("/n",),), "/c/qinling.conf", (2,), ("folder",)),
        }
    }
    of_one_variable, of_an_override = judged(
        [found("keystone_authtoken", option, kind="file", message="/n") for option in ("cafile", "certfile")],
        {("api", "q.conf"): RenderedFile("q.conf", b"text", False, sections)},
        [],
    )[0]
    message = "/n is not in the container of api, which reads it for [keystone_authtoken] "
    assert str(of_one_variable).startswith(f"openstack_cacert: {message}cafile; expected a file of its image or")
    assert str(of_an_override).startswith(f"/c/qinling.conf:2: {message}certfile; expected")
