"""mutate.py SRC MUTANT: breaks the sources under SRC as a mutant says.
mutate.py --check: checks that the mutants of each crate apply to its sources, and that the tests they name exist.

A mutant is a line that says what it breaks and which tests catch it, and hunks separated by `@@`: lines with ` `, `-` and
`+` as in a patch, but without file names and line numbers. The lines to be replaced have to occur exactly once in all
sources; indentation does not count. So a mutant survives moves and renames of everything that it does not name.
"""

import re
import sys
from pathlib import Path

CRATES = Path(__file__).resolve().parent.parent / "crates"


def hunks(text):
    """The lines to be replaced, and those that replace them, of each hunk."""
    for hunk in text.split("\n", 1)[1].split("@@\n"):
        lines = [(line[:1], line[1:]) for line in hunk.splitlines() if line.strip()]
        old = [line.strip() for kind, line in lines if kind in " -"]
        new = [line for kind, line in lines if kind in " +"]
        yield old, new


def read(src):
    """The lines of each source file."""
    return {path: path.read_text().splitlines() for path in sorted(src.rglob("*.rs"))}


def place(sources, old):
    """The only place of these lines, as a file and an index; or an error."""
    def is_at(lines, at):
        return all(line.strip() == wanted for line, wanted in zip(lines[at:at + len(old)], old, strict=False))

    found = [
        (path, at) for path, lines in sources.items() if old
        for at in range(len(lines) - len(old) + 1) if is_at(lines, at)
    ]
    if len(found) != 1:
        raise ValueError(f"{len(found)} places for: {' / '.join(old)}")
    return found[0]


def mutate(src, mutant):
    for old, new in hunks(mutant.read_text()):
        sources = read(src)
        path, at = place(sources, old)
        lines = sources[path]
        lines[at:at + len(old)] = new
        path.write_text("\n".join(lines) + "\n")


def faults(crate):
    """What is wrong with the mutants of a crate."""
    sources = read(crate / "src")
    text = "\n".join("\n".join(lines) for files in (sources, read(crate / "tests")) for lines in files.values())
    for mutant in sorted(crate.glob("tests/mutants/*.mutant")):
        for old, _ in hunks(mutant.read_text()):
            try:
                place(sources, old)
            except ValueError as error:
                yield f"{mutant.stem}: {error}"
        head = mutant.read_text().split("\n", 1)[0]
        if not re.match(r"Breaks.*; caught by: ", head):
            yield f"{mutant.stem}: its first line is not `Breaks …; caught by: …`"
        for test in re.findall(r"::(\w+)(?=\s|$)", head):
            if f"fn {test}(" not in text:
                yield f"{mutant.stem}: there is no test {test}"


def check():
    found = [fault for crate in sorted(CRATES.iterdir()) for fault in faults(crate)]
    for fault in found:
        print(fault, file=sys.stderr)
    return len(found)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(1 if check() else 0)
    try:
        mutate(Path(sys.argv[1]), Path(sys.argv[2]))
    except ValueError as error:
        sys.exit(f"{Path(sys.argv[2]).stem}: {error}")
