# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh. etcd refuses a data directory that other users can read.
chmod 0700 /var/lib/etcd
