# SPDX-License-Identifier: Apache-2.0
"""Patches that current versions of Python and of libraries need."""
