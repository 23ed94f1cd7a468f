# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Code that the action plugins share.

Private to this collection: names and behaviour change without notice.
"""
