# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh. Installs the package whose commands replace Qinling's.
cp -r "${context:?}/qinling_kolla" /tmp/qinling_kolla
pip_install /var/lib/kolla/venv/bin/python openstack-base --no-deps --no-build-isolation /tmp/qinling_kolla
install --directory --owner qinling --group qinling --mode 0750 /etc/qinling
install --directory --owner qinling --group qinling --mode 0755 /run/qinling
