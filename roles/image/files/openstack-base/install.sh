# SPDX-License-Identifier: Apache-2.0
# Sourced by build/install.sh: the virtual environment of Qinling and its libraries, as locked. It is a layer of its own because
# it is large and seldom changes.
venv=/var/lib/kolla/venv
lock=${context}/openstack-base/requirements.txt
python3 -m venv --without-pip "${venv}"
locked=(--no-deps --no-build-isolation --require-hashes)
# First what builds the few packages that come as sources.
grep --after-context=2 '^setuptools==' "${lock}" > /tmp/setuptools.txt
pip_install "${venv}/bin/python" openstack-base "${locked[@]}" --requirement /tmp/setuptools.txt
pip_install "${venv}/bin/python" openstack-base "${locked[@]}" --requirement "${lock}"
# What no service reads: the libraries' own tests, other languages' names of months, makers of network cards.
find "${venv}/lib" -type d -name tests -prune -exec rm -rf {} +
find "${venv}/lib" -path '*/babel/locale-data/*.dat' -not -name 'root.dat' -not -name 'en*.dat' -delete
find "${venv}/lib" -path '*/netaddr/eui/*.txt' -delete
