# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh. Implements the contract of Kolla's images with the scripts of Kolla's package.

# Kolla's user IDs, so that volumes can move between Kolla's images and these. The ID of qinling is from Kolla's last release with Qinling.
while read -r name number; do
    groupadd --gid "${number}" "${name}"
    useradd --no-log-init --no-create-home --shell /usr/sbin/nologin --uid "${number}" --gid "${number}" "${name}"
done <<'USERS'
kolla 42400
etcd 42413
keystone 42425
mysql 42434
rabbitmq 42439
haproxy 42454
memcached 42457
qinling 42484
USERS

scripts=$(mktemp --directory)
python3 -m zipfile --extract /mnt/wheels/base/kolla-*.whl "${scripts}"
scripts=${scripts}/kolla/docker/base
for script in set_configs.py start.sh copy_cacerts.sh install_projects.sh; do
    install --mode 0755 "${scripts}/${script}" "/usr/local/bin/kolla_${script%.*}"
done
install --mode 0755 "${scripts}"/healthcheck_* /usr/local/bin/
cat "${scripts}/kolla_bashrc" >> /etc/bash.bashrc
chmod 0440 /etc/sudoers
# Sourced by kolla_start; images with start-up work replace it.
install --mode 0644 /dev/null /usr/local/bin/kolla_extend_start
install --directory --owner root --group kolla --mode 2775 /var/log/kolla
install --directory --mode 0755 /etc/kolla /var/lib/kolla /var/lib/kolla/config_files
