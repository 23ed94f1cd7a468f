# SPDX-License-Identifier: Apache-2.0
"""How certificates are checked, from the setting `verify`."""

from __future__ import annotations

import functools
import ssl


def requests_verify(verify: str) -> bool | str:
    """Return ``verify`` ("true", "false" or a CA bundle's path) in the shape that requests takes."""
    lowered = verify.lower()
    if lowered in ("true", "yes", "1"):
        return True
    return False if lowered in ("false", "no", "0") else verify


@functools.cache
def context(verify: str) -> ssl.SSLContext:
    """Return the TLS context that ``verify`` asks for; made once, as reading the system's CA bundle takes a while."""
    wanted = requests_verify(verify)
    made = ssl.create_default_context(cafile=wanted if isinstance(wanted, str) else None)
    if wanted is False:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
