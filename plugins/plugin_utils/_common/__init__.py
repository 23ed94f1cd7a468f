# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""What action plugins have in common.

Private to this collection: names and behaviour change without notice.
"""
