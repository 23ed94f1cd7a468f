#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs an image into a container of its parent image, which is then committed. Runs as root in that container.
#   install.sh <image> <user> <home> <upgrade|keep> <package>...
# "upgrade" updates the installed packages; only the first image uses it.
# /mnt is the mounted build directory of the host, which the image does not contain: context/ (this role's files),
# host/ (mirrors and proxies), wheels/ and apt/ (downloads).
# Builds run in parallel, and apt locks its archives: each image has its own archives directory.
set -o errexit -o nounset -o pipefail

image=$1 user=$2 home=$3 packages=$4
shift 4
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PIP_NO_CACHE_DIR=1 PIP_NO_INDEX=1 PIP_ROOT_USER_ACTION=ignore \
    PIP_DISABLE_PIP_VERSION_CHECK=1
context=/mnt/context

# Install offline from the wheels that the host downloaded; pip runs from its wheel.
pip_install() { # <python> <folder of the lock file> <argument>...
    local python=$1 folder=$2 pip
    shift 2
    pip=$(echo /mnt/wheels/base/pip-*.whl)
    "${python}" "${pip}/pip" install --quiet --find-links "/mnt/wheels/${folder}" --find-links /mnt/wheels/base "$@"
}

apt() {
    apt-get --quiet=2 --option Dir::Etc::sourcelist=/mnt/host/sources.list --option Dir::Etc::sourceparts=- \
        --option Dir::State::lists=/mnt/apt/lists --option "Dir::Cache::archives=/mnt/apt/archives/${image}" \
        --option Dir::Cache::pkgcache= --option Dir::Cache::srcpkgcache= --option APT::Sandbox::User=root \
        --option APT::Keep-Downloaded-Packages=true --option DPkg::Post-Invoke= --option Dpkg::Use-Pty=0 \
        --option Dpkg::Options::=--force-unsafe-io --option Dpkg::Options::=--force-confold "$@"
}

if (($#)) || [[ ${packages} == upgrade ]]; then
    # shellcheck source=/dev/null
    . /mnt/host/environment
    export APT_CONFIG=/mnt/host/apt.conf
    # Services must not start during the installation.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    mkdir -p /mnt/apt/lists/partial "/mnt/apt/archives/${image}/partial"
    # Once for all images of a run: host.sh removes the stamp at its start.
    (
        flock 9
        if [[ ! -e /mnt/apt/updated ]]; then
            apt update
            touch /mnt/apt/updated
        fi
    ) 9> /mnt/apt/lock
    [[ ${packages} != upgrade ]] || apt dist-upgrade --yes
    (($# == 0)) || apt install --yes --no-install-recommends "$@"
    rm -f /usr/sbin/policy-rc.d
fi

if [[ ${user} != root ]] && getent group kolla > /dev/null; then
    usermod --append --groups kolla --home "${home}" --shell /usr/sbin/nologin "${user}"
    install --directory --owner "${user}" --group "$(id -gn "${user}")" --mode 0750 "${home}"
fi
if [[ -d ${context}/${image}/root ]]; then
    cp -rT "${context}/${image}/root" /
fi
if [[ -f ${context}/${image}/install.sh ]]; then
    # shellcheck source=/dev/null
    . "${context}/${image}/install.sh"
fi

rm -rf /var/log/apt /var/log/*.log /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/* \
    /var/lib/apt/lists/* /etc/machine-id /root/.cache /tmp/* /etc/localtime /etc/.pwd.lock
