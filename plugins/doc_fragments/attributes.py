# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of modules."""

    # Modules that change something. Their documentation sets what differs.
    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Reports the changes without making them.
  diff_mode:
    support: none
    description: Shows the changes with C(--diff).
  platform:
    support: full
    platforms: posix
    description: Operating systems of the hosts.
"""

    # Modules that do not change anything.
    READ_ONLY = r"""
attributes:
  check_mode:
    support: full
    description: Does not change anything.
  diff_mode:
    support: N/A
    description: Has no changes to show.
  platform:
    support: full
    platforms: posix
    description: Operating systems of the hosts.
"""
