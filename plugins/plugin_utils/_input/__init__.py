# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator writes, held against what the roles specify.

Private to this collection: names and behaviour change without notice.
"""
