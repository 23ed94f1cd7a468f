# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Resources of projects other than files and containers: one class per kind, which compares and applies them.

Private to this collection: names and behaviour change without notice.
"""
