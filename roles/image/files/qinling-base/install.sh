# SPDX-License-Identifier: Apache-2.0
# Sourced by build/install.sh: Qinling and its libraries as locked, then the package whose commands take the place of Qinling's.
venv=/var/lib/kolla/venv
python3 -m venv --without-pip "${venv}"
locked=(--no-deps --no-build-isolation --require-hashes)
# First what builds the few packages that come as sources.
grep --after-context=2 '^setuptools==' "${context}/qinling-base/requirements.txt" > /tmp/setuptools.txt
pip_install "${venv}/bin/python" qinling-base "${locked[@]}" --requirement /tmp/setuptools.txt
pip_install "${venv}/bin/python" qinling-base "${locked[@]}" --requirement "${context}/qinling-base/requirements.txt"
cp -r "${context}/qinling_kolla" /tmp/qinling_kolla
pip_install "${venv}/bin/python" qinling-base --no-deps --no-build-isolation /tmp/qinling_kolla
find "${venv}/lib" -type d -name tests -prune -exec rm -rf {} +
install --directory --owner qinling --group qinling --mode 0750 /etc/qinling /var/lib/qinling
install --directory --owner qinling --group qinling --mode 0755 /run/qinling
