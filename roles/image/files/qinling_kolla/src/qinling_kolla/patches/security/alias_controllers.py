# SPDX-License-Identifier: Apache-2.0
"""The API stored aliases and jobs that refer to another project's function, and executed such aliases.

The owner could then neither delete nor change that function, and a webhook ran it with its owner's trust.
"""

import inspect
import json
from typing import Any

import pecan
import wsmeext.pecan as wsme_pecan
from oslo_log import log as logging
from qinling import context
from qinling import exceptions as exc
from qinling.api import access_control as acl
from qinling.api.controllers.v1 import function_alias, job, resources, types, webhook
from qinling.db import api as db_api
from qinling.utils import constants, executions, rest_utils
from qinling.utils.openstack import keystone
from wsme import types as wtypes

from qinling_kolla.patches.engine import execution_records
from qinling_kolla.patches.security import alias_project

NAME = "aliases in the API"
REASON = "aliases and jobs were stored with other projects' functions, and webhooks ran them"

LOG = logging.getLogger(__name__)

_ALIASES = function_alias.FunctionAliasesController
_JOBS = job.JobsController
_WEBHOOKS = webhook.WebhooksController

# The content types that pecan handles as JSON.
_JSON = ("application/json", "application/javascript")

# The methods without their decorators.
_original_post_job = inspect.unwrap(_JOBS.post)
_original_put_job = inspect.unwrap(_JOBS.put)


def _project(requested: str | None) -> str:
    """Return the project of a request's alias: ``requested`` for administrators, else the request's own."""
    ctx = context.get_ctx()
    return requested if requested and ctx.is_admin else ctx.projectid


@rest_utils.wrap_wsme_controller_exception
@wsme_pecan.wsexpose(resources.FunctionAlias, body=resources.FunctionAlias, status_code=201)
def post_alias(self: Any, body: Any) -> Any:
    """Create an alias of a function of the request's project."""
    acl.enforce("function_alias:create", context.get_ctx())
    params = body.to_dict()
    if not params.get("name") or not params.get("function_id"):
        raise exc.InputException("A required parameter is missing; expected name and function_id.")
    values = {key: params.get(key) for key in ("name", "function_id", "function_version", "description")}
    LOG.info("Create alias, params: %s", values)
    alias_project.function_of(_project(None), values["function_id"], values["function_version"])
    return resources.FunctionAlias.from_db_obj(db_api.create_function_alias(**values))


@rest_utils.wrap_wsme_controller_exception
@wsme_pecan.wsexpose(resources.FunctionAlias, wtypes.text, wtypes.text)
def get_alias(self: Any, alias_name: str, project_id: str | None = None) -> Any:
    """Return an alias of the request's project; administrators may name another project."""
    acl.enforce("function_alias:get", context.get_ctx())
    return resources.FunctionAlias.from_db_obj(db_api.get_function_alias(alias_name, project_id=_project(project_id)))


@rest_utils.wrap_wsme_controller_exception
@wsme_pecan.wsexpose(resources.FunctionAlias, wtypes.text, wtypes.text, body=resources.FunctionAlias)
def put_alias(self: Any, alias_name: str, project_id: str | None = None, body: Any = None) -> Any:
    """Change an alias of the request's project; administrators may name another project."""
    acl.enforce("function_alias:update", context.get_ctx())
    params = body.to_dict() if body else {}
    values = {key: params[key] for key in function_alias.UPDATE_ALLOWED if params.get(key) is not None}
    LOG.info("Update alias %s, params: %s", alias_name, values)
    alias = db_api.update_function_alias(alias_name, project_id=_project(project_id), **values)
    return resources.FunctionAlias.from_db_obj(alias)


@rest_utils.wrap_wsme_controller_exception
@wsme_pecan.wsexpose(None, wtypes.text, wtypes.text, status_code=204)
def delete_alias(self: Any, alias_name: str, project_id: str | None = None) -> None:
    """Delete an alias of the request's project; administrators may name another project."""
    acl.enforce("function_alias:delete", context.get_ctx())
    LOG.info("Delete alias %s", alias_name)
    db_api.delete_function_alias(alias_name, project_id=_project(project_id))


def _check_input(job: Any) -> None:
    """Raise InputException if a job's input is not valid for its executions."""
    execution_records.read_input(job.to_dict().get("function_input"), "function_input")


def _webhook_input(request: Any, parameters: dict[str, Any]) -> Any:
    """Return the input of a webhook's execution; raise InputException if it is not valid.

    A body with a JSON content type is an input like an execution's. ``parameters`` come from the URL and from a form.
    """
    if request.content_type not in _JSON or not request.body.strip():
        return parameters
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        raise exc.InputException("body: not UTF-8; expected JSON") from None
    given = execution_records.read_input(text, "body")
    return given if given and execution_records.TEXT in given else {**parameters, **(given or {})}


@rest_utils.wrap_wsme_controller_exception
@wsme_pecan.wsexpose(resources.Job, body=resources.Job, status_code=201)
def post_job(self: Any, job: Any) -> Any:
    """Create a job of a function of the request's project.

    A job with an alias stores only the alias, which is resolved at each run.
    """
    _check_input(job)
    params = job.to_dict()
    if params.get("function_alias"):
        job.function_id = job.function_version = wtypes.Unset
        alias_project.resolve(_project(None), job.function_alias)
    elif params.get("function_id"):
        alias_project.function_of(_project(None), job.function_id, params.get("function_version"))
    return _original_post_job(self, job)


@rest_utils.wrap_wsme_controller_exception
@wsme_pecan.wsexpose(resources.Job, types.uuid, body=resources.Job)
def put_job(self: Any, id: str, job: Any) -> Any:
    """Change a job."""
    _check_input(job)
    return _original_put_job(self, id, job)


@rest_utils.wrap_pecan_controller_exception
@pecan.expose("json")
def invoke(self: Any, id: str, **kwargs: Any) -> dict[str, str]:
    """Execute a webhook's function, which must belong to the webhook's project; callers need only the webhook's ID."""
    given = _webhook_input(pecan.request, kwargs)
    found = db_api.get_webhook(id, insecure=True)
    if found.function_alias:
        function, version = alias_project.resolve(found.project_id, found.function_alias)
    else:
        version = found.function_version
        function = alias_project.function_of(found.project_id, found.function_id, version)
    LOG.info("Invoke function %s(version %s) by a webhook", function.id, version)
    caller = context.get_ctx()
    context.set_ctx(keystone.create_trust_context(function.trust_id, found.project_id))
    try:
        execution = executions.create_execution(
            self.engine_client,
            {
                "function_id": function.id,
                "function_version": version,
                "sync": False,
                "input": json.dumps(given),
                "description": constants.EXECUTION_BY_WEBHOOK % id,
            },
        )
    finally:
        # Later log lines of the request belong to its caller, who is not the function's owner.
        context.set_ctx(caller)
        caller.update_store()
    pecan.response.status = 202
    return {"execution_id": execution.id}


_REPLACED = (
    (_ALIASES, {"post": post_alias, "get": get_alias, "put": put_alias, "delete": delete_alias}),
    (_JOBS, {"post": post_job, "put": put_job}),
    (_WEBHOOKS, {"invoke": invoke}),
)


def needed() -> bool:
    """Return whether one of Qinling's own methods is in use."""
    return any(
        getattr(controller, name) is not method for controller, methods in _REPLACED for name, method in methods.items()
    )


def apply() -> None:
    """Replace Qinling's methods."""
    for controller, methods in _REPLACED:
        for name, method in methods.items():
            setattr(controller, name, method)
