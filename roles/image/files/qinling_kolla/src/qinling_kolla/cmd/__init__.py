# SPDX-License-Identifier: Apache-2.0
"""The commands that Qinling's images run in place of Qinling's own."""
