# SPDX-License-Identifier: Apache-2.0
"""Commands that replace Qinling's own in its images."""
