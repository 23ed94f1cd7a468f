# SPDX-License-Identifier: Apache-2.0
# Sourced by build/install.sh. etcd refuses a data directory that others may read.
chmod 0700 /var/lib/etcd
