# SPDX-License-Identifier: Apache-2.0
"""Qinling's Python runtime: `server` speaks the worker protocol, `zygote` forks executions, `packages` fetches code."""
