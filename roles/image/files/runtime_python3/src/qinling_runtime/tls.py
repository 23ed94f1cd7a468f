# SPDX-License-Identifier: Apache-2.0
"""Verification of certificates, from the setting `verify`."""

from __future__ import annotations

import functools
import ssl


def requests_verify(verify: str) -> bool | str:
    """Return ``verify`` ("true", "false" or a CA bundle's path) as the argument of requests."""
    lowered = verify.lower()
    if lowered in ("true", "yes", "1"):
        return True
    return False if lowered in ("false", "no", "0") else verify


@functools.cache
def context(verify: str) -> ssl.SSLContext:
    """Return the TLS context for ``verify``; cached, as reading the system's CA bundle is slow."""
    value = requests_verify(verify)
    result = ssl.create_default_context(cafile=value if isinstance(value, str) else None)
    if value is False:
        result.check_hostname = False
        result.verify_mode = ssl.CERT_NONE
    return result
