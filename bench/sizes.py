# SPDX-License-Identifier: Apache-2.0
"""Report the sizes of images with their largest parts, and the memory of containers.

    python bench/sizes.py images [TAG]        each image: total size, size of its own layer, and its largest parts
    python bench/sizes.py memory [PREFIX]     each running container with that prefix, by processes

A part is a Debian package, a distribution in site-packages, or a directory that belongs to neither. Compiled Python
files count for the part of their source, and in addition as a part of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

# Runs in an image with Python, and prints {part: bytes}.
WALK = r"""
import collections, glob, json, os
owner = {}
for listed in glob.glob("/var/lib/dpkg/info/*.list"):
    package = os.path.basename(listed)[:-5].partition(":")[0]
    for line in open(listed, errors="replace"):
        folder, name = os.path.split(line.strip())
        owner.setdefault(os.path.realpath(folder) + "/" + name, package)
sizes = collections.Counter()
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
    for name in files:
        path = os.path.join(folder, name)
        found = os.lstat(path)
        size = found.st_blocks * 512
        compiled = "/__pycache__" in folder
        source = path
        if compiled:
            source = os.path.join(os.path.dirname(folder), name.split(".")[0] + ".py")
            sizes["(compiled Python)"] += size
        if source in owner:
            part = owner[source]
        elif "-packages/" in folder + "/":
            head, _, tail = (folder + "/" + name).partition("-packages/")
            part = "python " + tail.split("/")[0].partition("-")[0]
        else:
            part = "/".join(folder.split("/")[:4]) or "/"
        sizes[part] += size
print(json.dumps(sizes))
"""
MIB = 1024 * 1024


def docker(*arguments: str) -> str:
    """Run a command of Docker and return its output."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def largest(parts: Mapping[str, int], count: int) -> list[tuple[str, int]]:
    """Return the largest parts in descending order."""
    return Counter(parts).most_common(count)


def own_layer(layers: Iterable[str]) -> int:
    """Return the size of an image's own layer from the sizes in its history, newest first."""
    return int(next(iter(layers), "0"))


def proportional(smaps: str) -> int:
    """Return the proportional memory in bytes from the text of a smaps_rollup file."""
    return sum(int(line.split()[1]) * 1024 for line in smaps.splitlines() if line.startswith("Pss:"))


def images(tag: str, count: int) -> None:
    """Print the sizes of all images of a tag."""
    names = docker("images", "--format", "{{.Repository}}", "--filter", f"reference=*/*:{tag}").split()
    for name in sorted(names):
        reference = f"{name}:{tag}"
        total = int(docker("inspect", "--format", "{{.Size}}", reference))
        own = own_layer(docker("history", "--human=false", "--format", "{{.Size}}", reference).split())
        walk = ["run", "--rm", "--network", "none", "--user", "root", "--entrypoint", "python3", reference, "-c", WALK]
        parts = json.loads(docker(*walk))
        shown = ", ".join(f"{part} {size / MIB:.1f}" for part, size in largest(parts, count))
        print(f"{name.rpartition('/')[2]}: {total / MIB:.0f} MiB, own layer {own / MIB:.0f}: {shown}")


def processes(container: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return (name, proportional memory in bytes) of a container's processes."""
    found = []
    for line in docker("top", container["Id"], "-eo", "pid,comm").splitlines()[1:]:
        pid, _unused, name = line.strip().partition(" ")
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:  # noqa: PTH123 - the process can end at any moment
                found.append((name.strip(), proportional(file.read())))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def memory(prefix: str, count: int) -> None:
    """Print the memory of all running containers with a prefix."""
    for name in sorted(docker("ps", "--format", "{{.Names}}").split()):
        if name.startswith(prefix):
            parts = processes(json.loads(docker("inspect", name))[0])
            total = sum(size for _unused, size in parts)
            shown = ", ".join(f"{part} {size / MIB:.0f}" for part, size in sorted(parts, key=lambda p: -p[1])[:count])
            print(f"{name}: {total / MIB:.0f} MiB in {len(parts)} processes: {shown}")


def main() -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "memory"])
    parser.add_argument("name", nargs="?", default="", help="tag of the images, or prefix of the containers")
    parser.add_argument("--parts", type=int, default=8, help="number of parts")
    given = parser.parse_args()
    if given.what == "images":
        images(given.name or "2026.1-debian-trixie", given.parts)
    else:
        memory(given.name, given.parts)


if __name__ == "__main__":
    main()
