# SPDX-License-Identifier: Apache-2.0
"""Sessions with Keystone: verified with [keystone_authtoken] cafile, and with cached logins.

Qinling's own clients ignore cafile (some disable verification) and log in for each call. This package accesses Keystone
only through this module.
"""

import datetime
import threading
from typing import Any

from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from keystoneauth1.identity import v3
from keystoneclient.v3 import client as ks_client
from oslo_config import cfg

# A function may use the token from its start for resource_limits.max_timeout.
_SPARE_SECONDS = 60
# Keystone may revoke a token before it expires, when its user's password or roles change.
_MAX_AGE_SECONDS = 300
_CONNECT_SECONDS = 30
_MAX_CACHED = 1000


def v3_url(url: str) -> str:
    """Return the URL of Keystone's v3 API for a configured URL that may lack the version."""
    bare = url.rstrip("/")
    return bare if bare.endswith("/v3") else f"{bare}/v3"


def public_url(conf: cfg.ConfigOpts) -> str:
    """Return the URL of Keystone's v3 API for workers."""
    return v3_url(conf.keystone_authtoken.www_authenticate_uri or conf.keystone_authtoken.auth_url)


def _own_url(conf: cfg.ConfigOpts) -> str:
    """Return the URL that this service uses: auth_url, else www_authenticate_uri."""
    return v3_url(conf.keystone_authtoken.auth_url or conf.keystone_authtoken.www_authenticate_uri)


def verification(conf: cfg.ConfigOpts) -> bool | str:
    """Return the ``verify`` argument of requests for Keystone: a CA file, True, or False if configured as insecure."""
    options = conf.keystone_authtoken
    if options.insecure:
        return False
    return options.cafile or True


def make_session(conf: cfg.ConfigOpts, auth: Any) -> ks_session.Session:
    """Return a session that authenticates with ``auth`` and verifies TLS as configured."""
    options = conf.keystone_authtoken
    cert = (options.certfile, options.keyfile) if options.certfile and options.keyfile else None
    return ks_session.Session(auth=auth, verify=verification(conf), cert=cert, timeout=_CONNECT_SECONDS)


def _password(conf: cfg.ConfigOpts, **scope: Any) -> v3.Password:
    options = conf.keystone_authtoken
    return v3.Password(
        auth_url=_own_url(conf),
        username=options.username,
        password=options.password,
        user_domain_name=options.user_domain_name,
        user_domain_id=options.user_domain_id,
        **scope,
    )


_lock = threading.Lock()
_service: dict[tuple[Any, ...], ks_session.Session] = {}
_trusts: dict[tuple[str, str], v3.Password] = {}


def _identity(conf: cfg.ConfigOpts) -> tuple[Any, ...]:
    options = conf.keystone_authtoken
    return (
        _own_url(conf),
        options.username,
        options.password,
        options.project_name,
        options.user_domain_name,
        options.user_domain_id,
        options.project_domain_name,
        options.project_domain_id,
        str(verification(conf)),
    )


def service_session(conf: cfg.ConfigOpts) -> ks_session.Session:
    """Return the service user's session, one per process until the configuration changes."""
    key = _identity(conf)
    options = conf.keystone_authtoken
    with _lock:
        if key not in _service:
            _service.clear()
            _service[key] = make_session(
                conf,
                _password(
                    conf,
                    project_name=options.project_name,
                    project_domain_name=options.project_domain_name,
                    project_domain_id=options.project_domain_id,
                ),
            )
        return _service[key]


def client(conf: cfg.ConfigOpts, session: ks_session.Session) -> ks_client.Client:
    """Return a client of Keystone's v3 API that uses ``session`` and needs no catalog entry."""
    return ks_client.Client(session=session, endpoint_override=_own_url(conf))


def user_session(conf: cfg.ConfigOpts, token: str) -> ks_session.Session:
    """Return a session that uses a caller's token unchanged, without a login."""
    return make_session(conf, token_endpoint.Token(_own_url(conf), token))


def trust_session(conf: cfg.ConfigOpts, trust_id: str) -> ks_session.Session:
    """Return a session of the service user on behalf of a trust, with a cached token."""
    key = (trust_id, _own_url(conf))
    with _lock:
        auth = _trusts.pop(key, None) or _password(conf, trust_id=trust_id)
        # Moved to the end, so that the least recently used entry is evicted first.
        _trusts[key] = auth
        while len(_trusts) > _MAX_CACHED:
            del _trusts[next(iter(_trusts))]
    return make_session(conf, auth)


def trust_access(conf: cfg.ConfigOpts, trust_id: str, lifetime: float = 0) -> Any:
    """Return keystoneauth's access info (auth_token, user_id, …) for a trust.

    A token that expires within ``lifetime`` seconds is replaced.
    """
    session = trust_session(conf, trust_id)
    access = session.auth.get_access(session)
    now = datetime.datetime.now(datetime.UTC)
    left, age = (access.expires - now).total_seconds(), (now - access.issued).total_seconds()
    if left < lifetime + _SPARE_SECONDS or age > _MAX_AGE_SECONDS:
        session.auth.invalidate()
        access = session.auth.get_access(session)
    return access


def forget(trust_id: str) -> None:
    """Drop the cached token of a trust, for example when the trust is deleted."""
    with _lock:
        for key in [key for key in _trusts if key[0] == trust_id]:
            del _trusts[key]
