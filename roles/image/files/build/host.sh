#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Writes the host's package sources and proxies to <build directory>/host, which builds mount and images never contain.
#   host.sh <build directory> <suite> <mirror> <security mirror>
# Empty mirrors default to those of the host's apt, so that builds use the same mirrors as the host.
set -o errexit -o nounset -o pipefail

directory=$1 suite=$2 mirror=$3 security=$4
default_mirror=http://deb.debian.org/debian
default_security=http://deb.debian.org/debian-security

# Origin and Label exist only after the host has fetched its lists; a path that ends in /debian is recognised before.
indexes() {
    # shellcheck disable=SC2016 # apt expands these variables
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null || true
}

if [[ -z ${mirror} ]]; then
    mirror=$(indexes | sed -nE 's#^Debian\|Debian\|(https?://.*[^/])/*$#\1#p; s#^.*\|(https?://.*/debian)/*$#\1#p' | head -n 1)
    if [[ -z ${security} ]]; then
        security=$(indexes | sed -nE 's#^Debian\|Debian-Security\|(https?://.*[^/])/*$#\1#p; s#^.*\|(https?://.*/debian-security)/*$#\1#p' \
            | head -n 1)
        # A host without security updates probably has no mirror of them.
        [[ -n ${security} || -n ${mirror} ]] || security=${default_security}
    fi
fi
mirror=${mirror:-${default_mirror}}

rm -f "${directory}/apt/updated"
directory=${directory}/host
mkdir -p "${directory}"
rm -f "${directory}"/*
umask 077
{
    echo "deb ${mirror} ${suite} main"
    echo "deb ${mirror} ${suite}-updates main"
    [[ -z ${security} ]] || echo "deb ${security} ${suite}-security main"
} > "${directory}/sources.list"
echo "${mirror}" > "${directory}/mirror"

# Only the proxies, timeouts and validity checks of the host's apt that reaching its mirror requires.
apt-config dump 2>/dev/null \
    | grep -E '^Acquire::(http|https|ftp|Retries|Check-Valid-Until|Check-Date|Max-ValidTime|ForceIPv[46])\b' \
    | grep -vE '^Acquire::https?::(CAInfo|CaPath|SslCert|SslKey)' > "${directory}/apt.conf" || true
for certificates in "$(apt-config shell file Acquire::https::CAInfo/f 2>/dev/null | sed -n "s/^file='\(.*\)'$/\1/p")" \
    /etc/ssl/certs/ca-certificates.crt; do
    if [[ -n ${certificates} && -r ${certificates} ]]; then
        cp "${certificates}" "${directory}/ca.crt"
        echo 'Acquire::https::CAInfo "/mnt/host/ca.crt";' >> "${directory}/apt.conf"
        break
    fi
done
for variable in http_proxy https_proxy no_proxy; do
    upper=${variable^^}
    value=${!variable:-${!upper:-}}
    [[ -z ${value} ]] || printf 'export %s=%q\n' "${variable}" "${value}" >> "${directory}/environment"
done
touch "${directory}/environment"
