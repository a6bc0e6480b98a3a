"""Fail when uv.lock names a host other than the public Python package index, or a file without a hash.

A lock written behind a mirror would name the mirror, and install nowhere else.

Usage: python tools/check_lock.py [uv.lock]
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

PUBLIC_HOSTS = frozenset({"pypi.org", "files.pythonhosted.org"})


def problems(lock: dict[str, object]) -> Iterator[str]:
    """Yield one sentence for every source or file that a stranger could not install."""
    packages = lock["package"]
    assert isinstance(packages, list)  # noqa: S101 -- uv's own format
    for package in packages:
        name, source = package["name"], package["source"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        addresses = [source["registry"]] if "registry" in source else []
        if not addresses and "editable" not in source:
            yield f"{name}: comes from {source}, not from a package index"
        for file in files:
            addresses.append(file["url"])
            if "hash" not in file:
                yield f"{name}: {file['url']} has no hash"
        for address in addresses:
            url = urlsplit(address)
            if url.scheme != "https" or url.hostname not in PUBLIC_HOSTS:
                yield f"{name}: {address} is not on the public index"


def main(arguments: list[str]) -> int:
    """Print every problem; return 1 when there is one, else 0."""
    path = Path(arguments[0] if arguments else "uv.lock")
    found = list(problems(tomllib.loads(path.read_text(encoding="utf-8"))))
    for problem in found:
        print(f"error: {path}: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
