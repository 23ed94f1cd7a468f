# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration files on the controller: templating, merging, and the origins of options.

Private to this collection: names and behaviour change without notice.
"""
