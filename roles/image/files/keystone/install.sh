# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh. Debian's package "keystone" is not used: it adds a service, a database and debconf questions.
install --directory --owner root --group keystone --mode 0750 /etc/keystone
for directory in fernet-keys credential-keys; do
    install --directory --owner keystone --group keystone --mode 0700 "/etc/keystone/${directory}"
done
chmod 0755 /usr/local/bin/keystone-manage /usr/local/bin/keystone-bootstrap
# Remove the tests of libraries. dpkg cannot exclude them: the packages compile all files that they list.
find /usr/lib/python3/dist-packages -type d -name tests -prune -exec rm -rf {} +
