# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh. Removes the cookie of the installation, which all containers would share.
find /var/lib/rabbitmq -mindepth 1 -delete
rm -rf /var/log/rabbitmq /etc/rabbitmq/*
install --directory --owner rabbitmq --group rabbitmq --mode 0755 /etc/rabbitmq /var/log/rabbitmq
chmod 0755 /usr/local/bin/healthcheck_rabbitmq /usr/local/bin/rabbitmq-server
ln -sf /usr/local/bin/rabbitmq-server /usr/sbin/rabbitmq-server
