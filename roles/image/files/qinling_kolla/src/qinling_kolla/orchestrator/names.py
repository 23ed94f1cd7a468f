# SPDX-License-Identifier: Apache-2.0
"""Validation of user-supplied names that are used in pods, services and processes.

Image names follow the grammar of OCI references (distribution/reference, as Docker and containerd apply it).
"""

import re

MAX_IMAGE = 255
# The size of Qinling's column.
MAX_ENTRY = 80

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[\w][\w.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_ENTRY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


class InvalidName(ValueError):
    """A name is not valid; the text contains the expected form."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def image(value: object) -> str:
    """Return ``value`` if it is the name of a container image, else raise InvalidName."""
    if isinstance(value, str) and len(value) <= MAX_IMAGE and _IMAGE.fullmatch(value):
        return value
    raise InvalidName(
        f"Invalid image name {_shown(value)}: expected [registry[:port]/]name[:tag][@digest], "
        f"lower case, at most {MAX_IMAGE} characters."
    )


def entry(value: object) -> str:
    """Return ``value`` if it names a function as module.function, else raise InvalidName."""
    if isinstance(value, str) and len(value) <= MAX_ENTRY and _ENTRY.fullmatch(value):
        return value
    raise InvalidName(
        f"Invalid entry {_shown(value)}: expected module.function (identifiers joined by dots), "
        f"at most {MAX_ENTRY} characters."
    )


def md5sum(value: object) -> str:
    """Return ``value`` if it is an MD5 sum of 32 lower-case hexadecimal digits, else raise InvalidName."""
    if isinstance(value, str) and _MD5.fullmatch(value):
        return value
    raise InvalidName(f"Invalid md5sum {_shown(value)}: expected 32 lower-case hexadecimal digits.")
