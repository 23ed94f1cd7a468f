# SPDX-License-Identifier: Apache-2.0
"""Qinling's access to Keystone: verified with [keystone_authtoken] cafile, and with few logins.

Its clients ignore cafile, its sessions (endpoint lookup, Swift) disable verification, its trust client sets no user
domain, and creating one function logs in several times.
"""

from typing import Any

import pecan
import swiftclient
from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1.identity import v3
from oslo_config import cfg
from oslo_log import log as logging
from qinling import context
from qinling.utils.openstack import keystone

from qinling_kolla import identity

NAME = "Keystone clients"
REASON = "they ignored cafile or disabled verification, and logged in for each call"

LOG = logging.getLogger(__name__)
CONF = cfg.CONF


def user_keystone_session() -> Any:
    """Return a session of the request's user, with the catalog of its token.

    Workers download packages with a trust-scoped token, which cannot be exchanged for another token.
    """
    plugin = pecan.request.environ.get("keystone.token_auth")
    if plugin is None or not plugin.has_user_token:
        ctx = context.get_ctx()
        plugin = v3.Token(
            auth_url=identity.public_url(CONF),
            token=ctx.auth_token,
            project_domain_name=ctx.project_domain_name,
            project_domain_id=ctx.project_domain_id,
            project_name=ctx.project_name,
            project_id=ctx.project_id,
        )
    return identity.make_session(CONF, plugin)


def get_swiftclient() -> Any:
    """Return a Swift connection of the request's user."""
    return swiftclient.Connection(session=user_keystone_session())


def get_user_client() -> Any:
    """Return a Keystone client that uses the request's token."""
    return identity.client(CONF, identity.user_session(CONF, context.get_ctx().auth_token))


def get_service_client() -> Any:
    """Return a Keystone client of the service user."""
    return identity.client(CONF, identity.service_session(CONF))


def get_trust_client(trust_id: str) -> Any:
    """Return a Keystone client of the service user that acts on behalf of a trust."""
    return identity.client(CONF, identity.trust_session(CONF, trust_id))


def create_trust() -> Any:
    """Create a trust from the request's user to the service user, with the roles of the request."""
    ctx = context.get_ctx()
    return get_user_client().trusts.create(
        trustor_user=ctx.user_id,
        trustee_user=identity.service_session(CONF).get_user_id(),
        impersonation=True,
        role_names=ctx.roles,
        project=ctx.project_id,
    )


def delete_trust(trust_id: str | None) -> None:
    """Delete a trust as its trustor, who alone may do so. A failure is only logged."""
    if not trust_id:
        return
    identity.forget(trust_id)
    try:
        get_user_client().trusts.delete(trust_id)
        LOG.debug("A function's trust was deleted.")
    except Exception:
        LOG.exception("Failed to delete a function's trust")


def create_trust_context(trust_id: str | None, project_id: str) -> Any:
    """Return a context on behalf of a function's owner, for jobs and webhooks."""
    if not CONF.pecan.auth_enable:
        return context.Context(user_id=None, project_id=context.DEFAULT_PROJECT_ID, auth_token=None, is_admin=True)
    if not trust_id:
        # Image functions have no trust, as they need no token.
        return context.Context(project_id=project_id)
    access = identity.trust_access(CONF, trust_id, lifetime=CONF.resource_limits.max_timeout)
    return context.Context(
        user_id=access.user_id,
        project_id=project_id,
        auth_token=access.auth_token,
        is_trust_scoped=True,
        trust_id=trust_id,
    )


def get_qinling_endpoint() -> str:
    """Return the API's URL: [DEFAULT] qinling_endpoint, else the public endpoint in the catalog."""
    if CONF.qinling_endpoint:
        return str(CONF.qinling_endpoint)
    try:
        endpoint = identity.service_session(CONF).get_endpoint(
            service_type="function-engine", interface="public", region_name=CONF.keystone_authtoken.region_name
        )
    except ks_exceptions.CatalogException:
        endpoint = None
    if not endpoint:
        raise RuntimeError(
            "Keystone's catalog has no public endpoint of the service type function-engine: register one, or set "
            "[DEFAULT] qinling_endpoint in qinling.conf"
        )
    return str(endpoint)


_REPLACED = {
    "_get_user_keystone_session": user_keystone_session,
    "get_swiftclient": get_swiftclient,
    "get_user_client": get_user_client,
    "get_service_client": get_service_client,
    "get_trust_client": get_trust_client,
    "create_trust": create_trust,
    "delete_trust": delete_trust,
    "create_trust_context": create_trust_context,
    "get_qinling_endpoint": get_qinling_endpoint,
}


def needed() -> bool:
    """Return whether Qinling's own functions are in use."""
    return any(getattr(keystone, name).__module__ == keystone.__name__ for name in _REPLACED)


def apply() -> None:
    """Replace Qinling's functions."""
    for name, function in _REPLACED.items():
        setattr(keystone, name, function)
