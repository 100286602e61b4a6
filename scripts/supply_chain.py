"""Holds every crate that the workspace links or locks against deny.toml: its licence, the bans, where it comes from.

The rules are cargo-deny's own file; this reads the part of them that cargo itself can answer, so that the check
runs on a machine that has only the toolchain. It reads licences as the crates declare them, not their texts.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TOKEN = re.compile(r"\(|\)|[A-Za-z0-9.+-]+")


def permitted(expression: str, allowed: set[str]) -> bool:
    """Whether this SPDX expression (`/` is the old spelling of OR) can be met with allowed licences alone."""
    tokens = TOKEN.findall(expression.replace("/", " OR "))[::-1]

    def either() -> bool:
        result = both()
        while tokens and tokens[-1] == "OR":
            tokens.pop()
            other = both()
            result = result or other
        return result

    def both() -> bool:
        result = one()
        while tokens and tokens[-1] == "AND":
            tokens.pop()
            other = one()
            result = result and other
        return result

    def one() -> bool:
        token = tokens.pop()
        if token == "(":
            inside = either()
            tokens.pop()
            return inside
        if tokens and tokens[-1] == "WITH":
            tokens.pop()
            token = f"{token} WITH {tokens.pop()}"
        return token in allowed

    verdict = either()
    if tokens:
        raise ValueError(f"cannot read the licence expression {expression!r}")
    return verdict


class Crate(NamedTuple):
    """A crate that some build of the workspace compiles."""

    name: str
    version: str
    licence: str


def compiled() -> set[Crate]:
    """What cargo's own resolver takes up for any platform with every feature, tests and build scripts included."""
    command = ["cargo", "tree", "--workspace", "--locked", "--all-features", "--target=all", "--edges=all"]
    command += ["--prefix=none", "--format={p}|{l}|"]
    tree = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    crates = set()
    for line in set(tree.splitlines()):
        if "|" not in line:  # the head of a section, or the space before it
            continue
        package, licence, _repeated = line.split("|")
        name, version = package.split()[:2]
        crates.add(Crate(name, version, licence))
    return crates


def objections(crates: set[Crate], locked: list[dict[str, Any]], rules: dict[str, Any]) -> Iterator[str]:
    """One sentence for each crate and rule that do not agree."""
    allowed = set(rules["licenses"]["allow"])
    banned = {ban["crate"]: ban["reason"] for ban in rules["bans"]["deny"]}
    sources = {f"registry+{address}" for address in rules["sources"]["allow-registry"]}
    for name, version, licence in sorted(crates):
        if name in banned:
            yield f"{name} {version} is banned: {banned[name]}"
        if not licence or not permitted(licence, allowed):
            yield f"{name} {version} has the licence {licence or 'of no name'}, which deny.toml does not allow"
    for package in locked:
        if package.get("source") not in {None} | sources:
            yield f"{package['name']} {package['version']} comes from {package['source']}"


def main() -> int:
    """Prints the objections, or how many crates were looked at."""
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    crates = compiled()
    found = list(objections(crates, locked, rules))
    for sentence in found:
        print(f"supply chain: {sentence}", file=sys.stderr)
    if not found:
        print(f"{len(crates)} crates: licences, bans and sources are as deny.toml asks")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
