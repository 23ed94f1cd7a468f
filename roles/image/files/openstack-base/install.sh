# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh. Installs the locked virtual environment of Qinling and its libraries, a separate image layer because
# it is large and seldom changes.
venv=/var/lib/kolla/venv
lock=${context:?}/openstack-base/requirements.txt
python3 -m venv --without-pip "${venv}"
locked=(--no-deps --no-build-isolation --require-hashes)
# setuptools first: it builds the packages without wheels.
grep --after-context=2 '^setuptools==' "${lock}" > /tmp/setuptools.txt
pip_install "${venv}/bin/python" openstack-base "${locked[@]}" --requirement /tmp/setuptools.txt
pip_install "${venv}/bin/python" openstack-base "${locked[@]}" --requirement "${lock}"
# Remove unused files: tests of libraries, locale data, vendors of network cards.
find "${venv}/lib" -type d -name tests -prune -exec rm -rf {} +
find "${venv}/lib" -path '*/babel/locale-data/*.dat' -not -name 'root.dat' -not -name 'en*.dat' -delete
find "${venv}/lib" -path '*/netaddr/eui/*.txt' -delete
