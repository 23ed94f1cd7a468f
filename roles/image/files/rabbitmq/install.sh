# SPDX-License-Identifier: Apache-2.0
# Sourced by build/install.sh. A cookie made while installing would be the same in each container.
find /var/lib/rabbitmq -mindepth 1 -delete
rm -rf /var/log/rabbitmq /etc/rabbitmq/*
install --directory --owner rabbitmq --group rabbitmq --mode 0755 /etc/rabbitmq /var/log/rabbitmq
chmod 0755 /usr/local/bin/healthcheck_rabbitmq /usr/local/bin/rabbitmq-server
ln -sf /usr/local/bin/rabbitmq-server /usr/sbin/rabbitmq-server
