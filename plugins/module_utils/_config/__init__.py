# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration files of services: how they are sent to the host, written, masked and validated.

Private to this collection: names and behaviour change without notice.
"""
