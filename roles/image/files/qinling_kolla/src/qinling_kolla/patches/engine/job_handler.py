# SPDX-License-Identifier: Apache-2.0
"""One job without its function or alias aborted the job handler's whole round, every 3 s: no later job ever ran.

Each job is now handled separately. A job whose function is missing keeps its schedule and logs an error when due.
"""

from datetime import timedelta
from typing import Any

from futurist import periodics as futurist_periodics
from oslo_log import log as logging
from oslo_utils import timeutils
from qinling import context, status
from qinling import exceptions as exc
from qinling.db import api as db_api
from qinling.db.sqlalchemy import models
from qinling.services import periodics
from qinling.utils import constants, executions, jobs
from qinling.utils.openstack import keystone

from qinling_kolla import logs
from qinling_kolla.patches.security import alias_project

NAME = "job handler"
REASON = "one job without its function blocked all other jobs"

LOG = logging.getLogger(__name__)

INTERVAL_SECONDS = 3


def find_function(job: Any) -> tuple[Any, int]:
    """Return a job's function and version; raise DBEntityNotFoundError unless the job's project owns them."""
    if job.function_alias:
        return alias_project.resolve(job.project_id, job.function_alias)
    version = job.function_version or 0
    return alias_project.function_of(job.project_id, job.function_id, version), version


def claim(job: Any) -> bool:
    """Advance a due job to its next time, or end it; return False if another process did so already."""
    count = job.count - 1 if job.count else job.count
    # A job without a pattern runs once.
    if count == 0 or not job.pattern:
        values = {"status": status.DONE, "count": 0}
        expected = {"id": job.id, "status": status.RUNNING}
    else:
        values = {
            "next_execution_time": jobs.get_next_execution_time(job.pattern, job.next_execution_time),
            "count": count,
        }
        expected = {"id": job.id, "next_execution_time": job.next_execution_time}
    return bool(db_api.conditional_update(models.Job, values, expected, insecure=True))


def run_job(job: Any, engine_client: Any) -> None:
    """Start the execution of a due job."""
    try:
        function, version = find_function(job)
    except exc.DBEntityNotFoundError as error:
        if claim(job):
            LOG.error("Job %s did not run: %s", job.id, error)
        return
    context.set_ctx(keystone.create_trust_context(function.trust_id, job.project_id))
    try:
        if not claim(job):
            LOG.warning("Job %s has been handled by another periodic task already.", job.id)
            return
        LOG.debug("Starting function %s(version %s) by job %s", function.id, version, job.id)
        executions.create_execution(
            engine_client,
            {
                "function_id": function.id,
                "function_version": version,
                "input": job.function_input,
                "sync": False,
                "description": constants.EXECUTION_BY_JOB % job.id,
            },
        )
    finally:
        context.set_ctx(None)
        logs.forget_context()


@futurist_periodics.periodic(INTERVAL_SECONDS)
def handle_job(engine_client: Any) -> None:
    """Run the jobs that are due; replaces ``periodics.handle_job``."""
    for job in db_api.get_next_jobs(timeutils.utcnow() + timedelta(seconds=INTERVAL_SECONDS)):
        try:
            run_job(job, engine_client)
        except Exception:
            LOG.exception("Failed to process job %s", job.id)


def needed() -> bool:
    """Return whether Qinling's own function is in use."""
    return periodics.handle_job.__module__ == periodics.__name__


def apply() -> None:
    """Replace Qinling's function."""
    periodics.handle_job = handle_job
