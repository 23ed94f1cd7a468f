# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Docker on the host: its API, and the health, ownership, digests and backups of containers.

Private to this collection: names and behaviour change without notice.
"""
