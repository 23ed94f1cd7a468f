# SPDX-License-Identifier: Apache-2.0
"""The reasons that callers get for failures of the platform."""

import pytest
from etcd3gw import exceptions as etcd_exc
from keystoneauth1 import exceptions as ks_exc
from oslo_db import exception as db_exc
from qinling import exceptions as exc
from sqlalchemy import exc as sa_exc

from qinling_kolla import failures, reclaim, worker
from qinling_kolla.orchestrator import kubernetes_api

ETCD_FULL = etcd_exc.Etcd3Exception(
    '{"error":"etcdserver: mvcc: database space exceeded","code":8}', "Too Many Requests"
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (reclaim.NoFreeWorker("r", 3, 3), "no free worker for runtime r: 3 of 3 in use"),
        (
            reclaim.NoFreeWorker("r", 3, 2, details="w: rejected, tcp://node:1"),
            "no free worker for runtime r: 2 of 3 in use, 1 not running",
        ),
        (worker.Unreachable(), "the function's worker does not answer"),
        (worker.Unreachable(reason="the function gateway does not answer"), "the function gateway does not answer"),
        (kubernetes_api.Unavailable("GET https://192.0.2.1:6443/api: refused"), "Kubernetes does not answer"),
        (kubernetes_api.ApiError("403 Forbidden: secret", 403), "Kubernetes refused a request"),
        (etcd_exc.ConnectionFailedError("http://192.0.2.1:2379"), "etcd does not answer"),
        (etcd_exc.ConnectionTimeoutError("http://192.0.2.1:2379"), "etcd does not answer"),
        (ETCD_FULL, "etcd has no space left"),
        (etcd_exc.InternalServerError("x"), "etcd refused a request"),
        (exc.EtcdLockException("lock function_worker_f_0"), "the function's lock in etcd is held by another execution"),
        (db_exc.DBConnectionError("mysql://u:p@h"), "the database does not answer"),
        (db_exc.DBDataError("SELECT 1"), "the database refused a request"),
        (sa_exc.InvalidRequestError("SELECT 1"), "the database refused a request"),
        (exc.DBEntityNotFoundError("Function not found [id=f]"), "the function or its runtime no longer exists"),
        (ks_exc.ConnectFailure("http://192.0.2.1:5000"), "Keystone does not answer"),
        (ks_exc.Unauthorized("The request you have made"), "Keystone refused a token for the function"),
        (exc.OrchestratorException("Runtime r has no pool on this Swarm."), "Runtime r has no pool on this Swarm"),
        (exc.OrchestratorException("/var/run/docker.sock is no manager\nmore"), "… is no manager"),
    ],
)
def test_reasons(error: Exception, reason: str) -> None:
    assert failures.is_expected(error)
    assert failures.output(error) == f"Function execution failed: {reason}."


def test_unexpected_failure_reports_only_its_type() -> None:
    error = KeyError("SELECT password FROM users")
    assert not failures.is_expected(error)
    assert failures.reason(error) == "unexpected KeyError in the engine, see its log"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cannot list at tcp://10.0.0.1:2375: refused", "Cannot list at … refused"),
        ("10.1.2.3:9090 does not answer.", "… does not answer"),
        ("[fd00:1:2::3]:9090 does not answer", "… does not answer"),
        ("image kolla/debian:1.2.3 is missing", "image kolla/debian:1.2.3 is missing"),
        ("first line\nTraceback (most recent call last)", "first line"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_a_clause_has_no_addresses(text: str, expected: str) -> None:
    assert failures.clause(text) == expected
