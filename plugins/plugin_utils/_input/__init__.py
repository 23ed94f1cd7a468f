# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Validation of an operator's input against the specifications of the roles.

Private to this collection: names and behaviour change without notice.
"""
