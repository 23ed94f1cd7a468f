# SPDX-License-Identifier: Apache-2.0
"""How long a function's invocation takes on a deployment, and where that time goes.

    python -m functions [--label NAME] [--rounds N]      (in bench; `make bench-functions` does it)

`measure` calls the deployment as its users do, `probe` runs inside of the containers of API and engine and times there,
with their own code and configuration, what an invocation consists of, and `report` makes the table and the page of it.
All that is created in the deployment is deleted again.
"""
