"""mutate.py SRC MUTANT: breaks the sources under SRC as a mutant says.

A mutant is a line that says what it breaks, and hunks separated by `@@`: lines with ` `, `-` and `+` as in a patch, but
without file names and line numbers. The lines to be replaced have to occur exactly once in all sources; indentation does
not count. So a mutant survives moves and renames of everything that it does not name.
"""

import sys
from pathlib import Path


def hunks(text):
    """The lines to be replaced, and those that replace them, of each hunk."""
    for hunk in text.split("\n", 1)[1].split("@@\n"):
        lines = [(line[:1], line[1:]) for line in hunk.splitlines() if line.strip()]
        old = [line.strip() for kind, line in lines if kind in " -"]
        new = [line for kind, line in lines if kind in " +"]
        yield old, new


def places(path, old):
    """The lines of a file at which `old` begins."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [at for at in range(len(lines)) if lines[at:at + len(old)] == old]


def mutate(src, mutant):
    for old, new in hunks(mutant.read_text()):
        found = [(path, at) for path in sorted(src.rglob("*.rs")) for at in places(path, old)]
        if len(found) != 1:
            sys.exit(f"{mutant.stem}: {len(found)} places for: {' / '.join(old)}")
        path, at = found[0]
        lines = path.read_text().splitlines()
        lines[at:at + len(old)] = new
        path.write_text("\n".join(lines) + "\n")


mutate(Path(sys.argv[1]), Path(sys.argv[2]))
