# SPDX-License-Identifier: Apache-2.0
"""The Keystone session in a function's context. Imported only on use."""

from __future__ import annotations

from typing import Any

from keystoneauth1 import access, exceptions, session
from keystoneauth1.identity import base, generic

from qinling_runtime import tls


def _v3(auth_url: str) -> str:
    url = auth_url.rstrip("/")
    return url if url.endswith("/v3") else f"{url}/v3"


class TokenOnly(base.BaseIdentityPlugin):  # type: ignore[misc,unused-ignore]
    """Auth plugin that uses a token unchanged, as a token scoped to a trust cannot be exchanged.

    The catalog comes from GET /v3/auth/tokens, which is allowed for the token itself.
    """

    def __init__(self, auth_url: str, token: str) -> None:
        super().__init__(auth_url=_v3(auth_url), reauthenticate=False)
        self._token = token

    def get_auth_ref(self, session: Any, **_kwargs: Any) -> access.AccessInfoV3:
        response = session.get(
            f"{self.auth_url}/auth/tokens",
            headers={"X-Auth-Token": self._token, "X-Subject-Token": self._token, "Accept": "application/json"},
            authenticated=False,
            log=False,
        )
        try:
            body = response.json()
            body["token"]
        except (ValueError, KeyError, TypeError):
            raise exceptions.InvalidResponse(response=response) from None
        return access.AccessInfoV3(body=body, auth_token=self._token)

    def get_token(self, *_args: Any, **_kwargs: Any) -> str:
        return self._token

    def invalidate(self) -> bool:
        # The token cannot be replaced, so a retry is useless.
        return False

    def get_cache_id_elements(self) -> dict[str, str]:
        return {"auth_url": self.auth_url, "token": self._token}


def build(credentials: dict[str, str], verify: str) -> Any:
    """Return a keystoneauth1 Session for ``credentials``: auth_url and token, or username, password and trust_id."""
    if credentials.get("username") and credentials.get("password"):
        auth: Any = generic.Password(
            auth_url=credentials["auth_url"],
            username=credentials["username"],
            password=credentials["password"],
            trust_id=credentials.get("trust_id"),
            user_domain_name="Default",
        )
    else:
        auth = TokenOnly(credentials["auth_url"], credentials["token"])
    return session.Session(auth=auth, verify=tls.requests_verify(verify))
