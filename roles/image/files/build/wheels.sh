#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Downloads the distributions of a lock file for an image's Python, on the host, with the host's pip and its settings.
#   wheels.sh <build directory> <lock file, relative to context> <python version> <pip command>...
# Their directory is named after the digest of the lock file, so that they are downloaded once. pip verifies their hashes here and
# during installation.
set -o errexit -o nounset -o pipefail

directory=$1 lock=$2 python=$3
shift 3
digest=$(sha256sum "${directory}/context/${lock}")
target=${directory}/wheels/${digest:0:16}
link=${directory}/wheels/$(dirname "${lock}")
if [[ ! -d ${target} ]]; then
    platforms=()
    # Wheels for older C libraries run on newer ones, but pip accepts only the listed platforms.
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
