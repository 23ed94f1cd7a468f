# SPDX-License-Identifier: Apache-2.0
"""The playbook "where" reports the operator's override files in Kolla's order, without access to the hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from operator_directory import SECRET, fill, play

GROUPS = ("etcd", "rabbitmq", "memcached", "qinling-api", "qinling-engine")
OVERRIDES = {
    "global.conf": "[DEFAULT]\nmax_logfile_count = 11\n[oslo_messaging_notifications]\ndriver = one\ndriver = two\n",
    "qinling.conf": "# of all\n[DEFAULT]\nmax_logfile_count = 12\n[engine]\nsidecar_image = {{ greeting }}\n",
    "qinling/qinling-api.conf": "{% if true %}\n[DEFAULT]\n{% endif %}\nmax_logfile_count = 13\n",
    "qinling/qinling-engine.conf": "[oslo_messaging_notifications]\ndriver = three\n",
    "qinling/two/qinling.conf": "[DEFAULT]\nmax_logfile_count = 14\n",
    # Kolla does not read these paths.
    "qinling-api.conf": "[DEFAULT]\nmax_logfile_count = 15\n",
    "qinling/two/qinling-api.conf": "[DEFAULT]\nmax_logfile_count = 16\n",
}


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an operator's directory for two unreachable hosts."""
    folder = tmp_path_factory.mktemp("operator")
    settings = {
        "enable_qinling": True,
        "enable_etcd": True,
        "network_interface": "",
        "node_config": str(folder / "node"),
    }
    fill(folder, settings)
    hosts = "one greeting=eins ansible_host=192.0.2.1\ntwo greeting=zwei ansible_host=192.0.2.2\n"
    (folder / "hosts").write_text(hosts + "".join(f"[{group}]\none\ntwo\n" for group in GROUPS))
    for path, text in OVERRIDES.items():
        (folder / "config" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "config" / path).write_text(text)
    return folder


def where(operator: Path, **more: Any) -> tuple[int, str]:
    """Run the playbook; return its exit code and its output with all whitespace as single blanks."""
    return play(operator, "where", inventory=str(operator / "hosts"), **more)


def test_files_are_merged_in_kollas_order_on_each_host(operator: Path) -> None:
    code, shown = where(operator)
    assert code == 0, shown[-3000:]
    config = operator / "config"
    count = shown.partition("[DEFAULT] max_logfile_count ")[2].partition("[DEFAULT]")[0]
    steps = [
        f"max_logfile_count = 14 set in {config}/qinling/two/qinling.conf:2",
        f"max_logfile_count = 13 set in {config}/qinling/qinling-api.conf:4",
        f"max_logfile_count = 12 set in {config}/qinling.conf:3",
        f"max_logfile_count = 11 set in {config}/global.conf:2",
    ]
    for title, first, *others in (
        ("qinling-api/qinling.conf on one", *steps[1:]),
        ("qinling-engine/qinling.conf on one", *steps[2:]),
        ("qinling-api/qinling.conf on two", *steps),
        ("qinling-engine/qinling.conf on two", steps[0], *steps[2:]),
    ):
        assert f"{title} {first} instead of {' '.join(others)} max_logfile_count = 6 set in" in count
    assert "from qinling_log_max_count" in count
    # Templates use the host's variables.
    for host, greeting in (("one", "eins"), ("two", "zwei")):
        assert f"qinling-api/qinling.conf on {host} sidecar_image = {greeting} set in {config}/qinling.conf:5" in shown
    # An option repeated in one file has two values; another file replaces both.
    driver = shown.partition("[oslo_messaging_notifications] driver ")[2]
    assert f"qinling-api/qinling.conf on one, two driver = one driver = two set in {config}/global.conf:4,5" in driver
    assert (
        f"qinling-engine/qinling.conf on one, two driver = three set in {config}/qinling/qinling-engine.conf:2"
        in driver
    )
    assert SECRET not in shown
    assert "[database] connection qinling-api/qinling.conf on one, two connection = *** set in" in shown
    assert not (operator / "node").exists()


def test_unset_option_is_reported_with_suggestions(operator: Path) -> None:
    code, shown = where(operator, option="api.api_treads")
    assert code != 0
    assert "No file sets api.api_treads; did you mean api.api_threads" in shown
