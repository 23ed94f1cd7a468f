# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Clients of Qinling and Keystone.

Private to this collection: names and behaviour change without notice.
"""
