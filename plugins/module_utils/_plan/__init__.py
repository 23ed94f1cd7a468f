# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Comparison of a host with the desired state of its projects, and results of checks.

Private to this collection: names and behaviour change without notice.
"""
