# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What projects need besides files and containers: a class for each kind, which compares it and applies it.

Private to this collection: names and behaviour change without notice.
"""
