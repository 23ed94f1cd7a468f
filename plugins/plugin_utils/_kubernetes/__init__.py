# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates, credentials and permissions of a Kubernetes cluster.

Private to this collection: names and behaviour change without notice.
"""
