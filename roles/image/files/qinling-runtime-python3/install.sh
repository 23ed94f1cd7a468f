# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by build/install.sh. Installs the server that runs functions, and the libraries that functions can import. Processes must
# not gain root privileges: no sudo, no setuid or setgid programs.
venv=/opt/qinling-runtime
groupadd --gid 1000 function
useradd --no-log-init --no-create-home --home /tmp --shell /usr/sbin/nologin --uid 1000 --gid 1000 function
python3 -m venv --without-pip "${venv}"
pip_install "${venv}/bin/python" qinling-runtime-python3 --no-deps --require-hashes \
    --requirement "${context:?}/qinling-runtime-python3/requirements.txt"
cp -r "${context}/runtime_python3" /tmp/runtime_python3
pip_install "${venv}/bin/python" qinling-runtime-python3 --no-deps --no-build-isolation /tmp/runtime_python3
# Only the build of the package needs setuptools.
"${venv}/bin/python" "$(echo /mnt/wheels/base/pip-*.whl)/pip" uninstall --quiet --yes setuptools
# Drivers run each worker as a different user.
install --directory --mode 1777 /var/qinling/packages
find / -xdev -path /mnt -prune -o -type f -perm /6000 -exec chmod ug-s {} +
