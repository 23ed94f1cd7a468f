# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Files of services on the controller: templating, merging, and where options come from.

Private to this collection: names and behaviour change without notice.
"""
