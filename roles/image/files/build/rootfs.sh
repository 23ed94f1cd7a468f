#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Creates a minimal Debian root file system with debootstrap as <build directory>/rootfs.tar, for hosts that cannot pull images.
#   rootfs.sh <build directory> <suite> <keyring>
set -o errexit -o nounset -o pipefail

directory=$1 suite=$2 keyring=$3
# shellcheck source=/dev/null
. "${directory}/host/environment"
proxy=$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null | sed -n "s/^proxy='\(.*\)'$/\1/p")
[[ -z ${proxy} || -n ${http_proxy:-} ]] || export http_proxy=${proxy}

rm -rf "${directory}/rootfs" "${directory}/rootfs.tar"
trap 'rm -rf "${directory}/rootfs"' EXIT
mkdir -p "${directory}/apt/archives"
debootstrap --variant=minbase --keyring="${keyring}" --cache-dir="${directory}/apt/archives" \
    "${suite}" "${directory}/rootfs" "$(cat "${directory}/host/mirror")"

root=${directory}/rootfs
cp -rT "${directory}/context/debian/root" "${root}"
rm -f "${root}/etc/apt/sources.list" "${root}/etc/localtime" "${root}/etc/machine-id" "${root}/etc/hostname" "${root}/etc/resolv.conf"
find "${root}/usr/share/doc" -type f ! -name copyright -delete
find "${root}/usr/share/doc" -type l -delete
find "${root}/usr/share/doc" -type d -empty -delete
rm -rf "${root}"/usr/share/{man,info,groff,lintian,locale}/* "${root}"/var/cache/apt/* "${root}"/var/lib/apt/lists/* \
    "${root}"/var/log/* "${root}"/var/cache/debconf/*-old "${root}"/var/lib/dpkg/*-old "${root}"/var/cache/ldconfig/*
tar --create --file "${directory}/rootfs.tar.part" --directory "${root}" --numeric-owner --xattrs --exclude='./dev/*' \
    --exclude='./proc/*' --exclude='./sys/*' .
mv "${directory}/rootfs.tar.part" "${directory}/rootfs.tar"
