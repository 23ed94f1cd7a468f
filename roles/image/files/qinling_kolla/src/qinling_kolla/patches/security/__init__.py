# SPDX-License-Identifier: Apache-2.0
"""Patches of unsafe behaviour in Qinling itself."""
