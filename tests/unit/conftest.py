# SPDX-License-Identifier: Apache-2.0
"""Makes `ansible_collections.qinling.kolla` importable from the checkout, for plain pytest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))
