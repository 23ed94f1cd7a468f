# SPDX-License-Identifier: Apache-2.0
"""Qinling's Python runtime: `server` is the worker's HTTP server, `zygote` forks executions."""
