# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh.
install --directory --owner mysql --group mysql --mode 0755 /run/mysqld
rm -rf /var/lib/mysql/*
chmod 0755 /usr/local/bin/healthcheck_mariadb
