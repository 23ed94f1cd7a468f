# SPDX-License-Identifier: Apache-2.0
"""The sample function: what Qinling calls is `main.main`, with the execution's input as keyword arguments."""


def main(name="World", **kwargs):
    print(f"greeting {name}")
    return f"Hello, {name}"
