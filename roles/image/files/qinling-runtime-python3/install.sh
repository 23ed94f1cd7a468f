# SPDX-License-Identifier: Apache-2.0
# Sourced by build/install.sh: the server that runs a function, and the few libraries that functions get. Nothing here may
# become root: no sudo, and no program keeps its setuid bit.
venv=/opt/qinling-runtime
groupadd --gid 1000 function
useradd --no-log-init --no-create-home --home /tmp --shell /usr/sbin/nologin --uid 1000 --gid 1000 function
python3 -m venv --without-pip "${venv}"
pip_install "${venv}/bin/python" qinling-runtime-python3 --no-deps --require-hashes \
    --requirement "${context}/qinling-runtime-python3/requirements.txt"
cp -r "${context}/runtime_python3" /tmp/runtime_python3
pip_install "${venv}/bin/python" qinling-runtime-python3 --no-deps --no-build-isolation /tmp/runtime_python3
# It built the package, nothing else needs it.
"${venv}/bin/python" "$(echo /mnt/wheels/base/pip-*.whl)/pip" uninstall --quiet --yes setuptools
# Drivers choose another user for each worker.
install --directory --mode 1777 /var/qinling/packages
find / -xdev -path /mnt -prune -o -type f -perm /6000 -exec chmod ug-s {} +
