# SPDX-License-Identifier: Apache-2.0
"""Benchmark of function invocations on a deployment, with the durations of their parts.

    python -m functions [--label NAME] [--rounds N]      (in bench; see `make bench-functions`)

`measure` calls the deployment like its users, `probe` measures the parts of an invocation inside the containers of API
and engine with their code and configuration, and `report` formats the results. Everything that the benchmark creates in
the deployment is deleted.
"""
