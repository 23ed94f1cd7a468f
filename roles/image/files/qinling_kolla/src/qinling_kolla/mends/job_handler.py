# SPDX-License-Identifier: Apache-2.0
"""One job whose function or alias is gone ended the job handler's whole round, every 3 s: no job after it ever ran.

Each job is now handled for itself. One that has lost its function keeps its schedule and says so at each due time.
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
from qinling_kolla.mends import alias_project

NAME = "job handler"
REASON = "one job whose function is gone kept all others from running"

LOG = logging.getLogger(__name__)

INTERVAL_SECONDS = 3


def find_function(job: Any) -> tuple[Any, int]:
    """Return a job's function and version; raises DBEntityNotFoundError unless they are of the job's project."""
    if job.function_alias:
        return alias_project.resolve(job.project_id, job.function_alias)
    version = job.function_version or 0
    return alias_project.function_of(job.project_id, job.function_id, version), version


def claim(job: Any) -> bool:
    """Move a due job on to its next time, or to its end; return False when another process did so already."""
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
    """Tell whether Qinling's own function is in place."""
    return periodics.handle_job.__module__ == periodics.__name__


def apply() -> None:
    """Replace it."""
    periodics.handle_job = handle_job
