# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Definitions of projects, and Kolla's service dictionaries.

Private to this collection: names and behaviour change without notice.
"""
