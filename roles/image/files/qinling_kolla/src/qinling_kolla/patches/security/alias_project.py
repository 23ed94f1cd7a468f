# SPDX-License-Identifier: Apache-2.0
"""Alias names are unique only within a project, but were looked up in all projects.

A webhook or a job could run another project's function with that project's trust, or pass its input to it, and an
administrator changed, deleted or executed the first alias with that name. Here every lookup names a project, and the
function of an alias must belong to that project.
"""

from typing import Any

from qinling import context
from qinling import exceptions as exc
from qinling.db import base as db_base
from qinling.db.sqlalchemy import api as sqlalchemy_api
from qinling.db.sqlalchemy import models

NAME = "project of an alias"
REASON = "an alias was looked up in all projects and ran other projects' functions"


def _one(session: Any, model: Any, project_id: str, **values: Any) -> Any:
    """Return a project's row with the given values; raise DBEntityNotFoundError (404) if it does not exist."""
    row = session.query(model).filter_by(project_id=project_id, **values).first()
    if row is None:
        shown = ", ".join(f"{key}={value}" for key, value in values.items())
        raise exc.DBEntityNotFoundError(f"{model.__name__} not found [{shown}]")
    return row


@db_base.session_aware()
def function_of(project_id: str, function_id: str | None, version: int | None, session: Any = None) -> Any:
    """Return a project's function; raise DBEntityNotFoundError unless the project owns function and version."""
    function = _one(session, models.Function, project_id, id=function_id)
    if version:
        _one(session, models.FunctionVersion, project_id, function_id=function_id, version_number=version)
    return function


@db_base.session_aware()
def resolve(project_id: str, name: str, session: Any = None) -> tuple[Any, int]:
    """Return the function and version of a project's alias; the project must own both."""
    alias = get_function_alias(name, project_id)
    return function_of(project_id, alias.function_id, alias.function_version), alias.function_version or 0


@db_base.session_aware()
def get_function_alias(name: str, project_id: str | None = None, session: Any = None) -> Any:
    """Return an alias of the given project, by default the request's project, also for administrators."""
    return _one(session, models.FunctionAlias, project_id or context.get_ctx().projectid, name=name)


@db_base.session_aware()
def update_function_alias(name: str, project_id: str | None = None, session: Any = None, **values: Any) -> Any:
    """Change an alias of the given project and return it; the project must own its new function and version."""
    alias = get_function_alias(name, project_id)
    target = {"function_id": alias.function_id, "function_version": alias.function_version, **values}
    function_of(alias.project_id, target["function_id"], target["function_version"])
    alias.update(values)
    return alias


@db_base.session_aware()
def delete_function_alias(name: str, project_id: str | None = None, session: Any = None) -> None:
    """Delete an alias of the given project."""
    session.delete(get_function_alias(name, project_id))


_REPLACED = {
    "get_function_alias": get_function_alias,
    "update_function_alias": update_function_alias,
    "delete_function_alias": delete_function_alias,
}


def needed() -> bool:
    """Return whether Qinling's own lookups are in use."""
    return any(getattr(sqlalchemy_api, name) is not function for name, function in _REPLACED.items())


def apply() -> None:
    """Replace Qinling's lookups."""
    for name, function in _REPLACED.items():
        setattr(sqlalchemy_api, name, function)
