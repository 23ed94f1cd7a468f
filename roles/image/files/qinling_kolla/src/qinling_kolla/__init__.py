# SPDX-License-Identifier: Apache-2.0
"""What Qinling 5.0.0 needs to run on current libraries; importing it changes nothing."""
