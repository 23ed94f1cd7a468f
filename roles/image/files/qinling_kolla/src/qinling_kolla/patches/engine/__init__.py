# SPDX-License-Identifier: Apache-2.0
"""Patches for correctness, speed and features."""
