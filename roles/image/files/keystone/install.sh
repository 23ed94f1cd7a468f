# SPDX-License-Identifier: Apache-2.0
# Sourced by build/install.sh. Debian's package "keystone" would add a service, a database and debconf questions to these.
install --directory --owner root --group keystone --mode 0750 /etc/keystone
for directory in fernet-keys credential-keys; do
    install --directory --owner keystone --group keystone --mode 0700 "/etc/keystone/${directory}"
done
chmod 0755 /usr/local/bin/keystone-manage /usr/local/bin/keystone-bootstrap
# The libraries' own tests. dpkg cannot leave them out: their packages compile what they list.
find /usr/lib/python3/dist-packages -type d -name tests -prune -exec rm -rf {} +
