# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0
"""Files of services on the host: what the controller sends, how it is written, masked and validated.

Private to this collection: names and behaviour change without notice.
"""
