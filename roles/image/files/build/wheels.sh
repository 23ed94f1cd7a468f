#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches the distributions of a lock on the host, with the host's own pip and its settings, for an image's Python.
#   wheels.sh <build directory> <lock, relative to context> <python version> <pip command>...
# They are kept under the lock's digest, so that a lock is fetched once. pip checks their hashes here and when it installs.
set -o errexit -o nounset -o pipefail

directory=$1 lock=$2 python=$3
shift 3
digest=$(sha256sum "${directory}/context/${lock}")
target=${directory}/wheels/${digest:0:16}
link=${directory}/wheels/$(dirname "${lock}")
if [[ ! -d ${target} ]]; then
    platforms=()
    # A wheel for an older C library runs on a newer one; pip wants each level spelt out.
    for level in $(seq 41 -1 5); do
        platforms+=(--platform "manylinux_2_${level}_$(uname -m)")
    done
    for name in manylinux2014 manylinux2010 manylinux1; do
        platforms+=(--platform "${name}_$(uname -m)")
    done
    rm -rf "${target}.part"
    "$@" download --quiet --no-deps --require-hashes --requirement "${directory}/context/${lock}" --dest "${target}.part" \
        --python-version "${python}" --implementation cp --abi "cp${python//./}" --abi abi3 --abi none "${platforms[@]}"
    chmod -R u=rwX,go=rX "${target}.part"
    mv "${target}.part" "${target}"
fi
ln -sfn "${digest:0:16}" "${link}"
