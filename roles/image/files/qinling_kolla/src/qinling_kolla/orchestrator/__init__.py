# SPDX-License-Identifier: Apache-2.0
"""Orchestrator drivers, and what they share: names of users checked (names), how a worker is reached (transport)."""
