#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the documentation as a website in .cache/docsite/html: the pages of this repository, and the reference of the collection's modules, roles
# and filters. Warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/../.."
site=$PWD/.cache/docsite
rm -rf "$site"
mkdir -p "$site/source"

# Sphinx follows links, and the link in collections/ contains itself: build from a copy of the files, with new ones and without deleted ones.
git ls-files -z --cached --others --exclude-standard ':!collections' |
    tar --create --null --files-from - --ignore-failed-read --warning=no-failed-read | tar --extract --directory "$site/source"
mkdir -m 755 "$site/source/reference"
ANSIBLE_COLLECTIONS_PATH=$PWD/collections antsibull-docs collection --use-current --squash-hierarchy --fail-on-error \
    --dest-dir "$site/source/reference" qinling.kolla
cp docs/docsite/index.md "$site/source/index.md"
sphinx-build --quiet --fail-on-warning --keep-going --jobs auto -c docs/docsite "$site/source" "$site/html"
echo "The website is $site/html/index.html"
