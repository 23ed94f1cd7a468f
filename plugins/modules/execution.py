# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: execution
short_description: Run a Qinling function
version_added: 0.1.0
description:
  - Runs a function, waits for its result, and fails if the execution fails.
  - A request that Qinling has accepted is never sent again, so that a function runs at most once.
author:
  - the qinling.kolla authors (@qinling-kolla)
extends_documentation_fragment:
  - qinling.kolla.attributes
  - qinling.kolla.qinling_api
  - qinling.kolla.qinling_api.engine
options:
  function:
    description: Name or ID of the function.
    type: str
    required: true
  input:
    description: Keyword arguments of the function.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for the result. Qinling has its own limit for each function.
    type: int
    default: 300
  keep:
    description:
      - Whether Qinling retains the record of the execution.
      - With V(false), the task reports no change.
    type: bool
    default: true
  fail_on_error:
    description: Whether the task fails if the status of the execution is not V(success).
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Does not run the function.
seealso:
  - module: qinling.kolla.function
  - module: qinling.kolla.runtime
"""

EXAMPLES = r"""
- name: Sample | Run the function
  qinling.kolla.execution:
    endpoint: "{{ qinling_internal_endpoint }}"
    auth: "{{ openstack_qinling_auth }}"
    function: hello
    input: {name: Qinling}
    keep: false
  register: execution
"""

RETURN = r"""
status:
  description: Status of the execution.
  returned: when the function was run
  type: str
  sample: success
result:
  description: The return value of the function, or its error.
  returned: when the function was run
  type: raw
  sample: Hello, Qinling
log:
  description: The output that the function printed.
  returned: when the function was run
  type: str
  sample: "greeting Qinling\n"
duration:
  description: Duration of the function in seconds, as its worker reports it.
  returned: when the worker reports a duration
  type: float
  sample: 0.012
execution_id:
  description: ID of the execution, which the logs of engine and worker contain.
  returned: when the function was run
  type: str
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.qinling.kolla.plugins.module_utils._openstack.qinling_api import (
    ARGUMENTS,
    ENGINE_ARGUMENT,
    Qinling,
    finish,
)

OPTIONS: dict[str, Any] = {
    "function": {"type": "str", "required": True},
    "input": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 300},
    "keep": {"type": "bool", "default": True},
    "fail_on_error": {"type": "bool", "default": True},
    **ENGINE_ARGUMENT,
}


def outcome_of(result: Any) -> tuple[Any, float | None]:
    """Return a function's output and duration from an execution's result, which is JSON or a text with JSON."""
    if isinstance(result, str):
        try:
            result = json.loads(result)
        except ValueError:
            return result, None
    if isinstance(result, dict) and "output" in result:
        return result["output"], result.get("duration")
    return result, None


def call(api: Qinling, params: dict[str, Any]) -> dict[str, Any]:
    """Run a function and return the module's result."""
    function = api.require("function", params["function"])
    data = {"function_id": function["id"], "input": json.dumps(params["input"]), "sync": True}
    execution = api.send("POST", "/executions", data, params["timeout"])
    execution_id = execution["id"]
    output, duration = outcome_of(execution.get("result"))
    result = {
        "changed": params["keep"],
        "execution_id": execution_id,
        "status": execution["status"],
        "result": output,
        "log": api.log_of(execution_id),
    }
    if not params["keep"]:
        api.send("DELETE", f"/executions/{execution_id}")
    return result if duration is None else {**result, "duration": duration}


def failure_of(name: str, engine: str, result: dict[str, Any]) -> str:
    """Return the message about a failed execution; `name` and `engine` are the function and the engine's container."""
    text = result["result"] if isinstance(result["result"], str) else json.dumps(result["result"])
    printed = f"; it printed: {result['log'].strip()}" if result["log"].strip() else "; it printed nothing"
    hint = f"see docker logs {engine} for execution {result['execution_id']}"
    return f"function {name}: status {result['status']}, result: {text}{printed}; {hint}"


def main() -> None:
    module = AnsibleModule(argument_spec={**ARGUMENTS, **OPTIONS}, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=module.params["keep"], skipped=True, msg="functions are not run in check mode")
    name, engine = module.params["function"], module.params["engine"]

    def failure(result: dict[str, Any]) -> str:
        failed = result["status"] != "success" and module.params["fail_on_error"]
        return failure_of(name, engine, result) if failed else ""

    finish(module, lambda api: call(api, module.params), failure)


if __name__ == "__main__":
    main()
