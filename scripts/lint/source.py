"""The Rust sources of the workspace, as text: files, comments, modules and functions.

Every file is formatted by rustfmt, so that an item ends at the first line with a closing brace at its own indentation.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns):
    """The files of these patterns; `*` in a pattern is any text, with slashes. Build output is left out."""
    wanted = [re.compile(re.escape(pattern).replace(r"\*", ".*") + "$") for pattern in patterns]
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "target" and not name.startswith(".")]
        for name in names:
            path = Path(folder) / name
            if any(pattern.match(str(path.relative_to(ROOT))) for pattern in wanted):
                found.append(path)
    return sorted(found)


def is_test(path):
    """Whether a file under src/ is compiled for tests only."""
    parts = path.relative_to(ROOT).parts
    return any(part in TEST_NAMES for part in parts) or path.stem in TEST_NAMES


TEST_NAMES = {"tests", "shuttle", "shuttled"}


def sources(crate="*"):
    """The files of the crates' own code, without their test modules."""
    return [path for path in tracked(f"crates/{crate}/src/*.rs") if not is_test(path)]


def without_tests(text):
    """The text of a file without its inline test modules."""
    lines, kept, skip = text.split("\n"), [], None
    for at, line in enumerate(lines):
        if skip is None and re.match(r"\s*#\[cfg\((all\()?test\b", line):
            after = next((later for later in lines[at + 1:] if not later.strip().startswith("#[")), "")
            if re.match(r"\s*(pub(\(\w+\))? )?mod \w+ \{", after):
                skip = re.match(r"\s*", line).group()
        if skip is None:
            kept.append(line)
        elif line == skip + "}":
            skip = None
    return "\n".join(kept)


def without_comments(text):
    """The code alone: comments and the insides of string literals are blanked."""
    out, at = [], 0
    for match in re.finditer(
        r'//[^\n]*|/\*.*?\*/|r(#*)"(?:.|\n)*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\'', text, re.S
    ):
        out.append(text[at:match.start()])
        blank = "" if match.group().startswith("/") else '""'
        out.append(blank + "\n" * match.group().count("\n"))
        at = match.end()
    out.append(text[at:])
    return "".join(out)


def doc_blocks(text):
    """Each doc comment as (line number, its lines without the slashes, the line of code under it)."""
    lines, at = text.split("\n"), 0
    while at < len(lines):
        opening = re.match(r"\s*//[/!]( |$)", lines[at])
        if not opening:
            at += 1
            continue
        start, block = at, []
        marker = lines[at].strip()[:3]
        while at < len(lines) and lines[at].strip().startswith(marker):
            block.append(lines[at].strip()[3:].removeprefix(" "))
            at += 1
        under = at
        while under < len(lines) and lines[under].strip().startswith("#["):
            under += 1
        yield start + 1, block, lines[under] if under < len(lines) else ""


def comments(text):
    """Each line of an ordinary or doc comment as (line number, words), code blocks left out."""
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        match = re.search(r"(?:^|\s)//[/!]?(?: (.*))?$", line)
        if not match or '"' in line[:match.start()]:
            fenced = False if not match else fenced
            continue
        words = match.group(1) or ""
        if words.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, words


FUNCTION = re.compile(r"^(\s*)(?:pub(?:\([^)]*\))? )?(?:default |const |async |unsafe |extern \"C\" )*fn (\w+)")


def functions(text):
    """Each function as (line number, name, lines from its signature to its closing brace)."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        match = FUNCTION.match(line)
        if not match:
            continue
        indent = match.group(1)
        for end in range(at, len(lines)):
            if end == at and re.search(r"\{ .*\}$|\{\}$", line):
                break
            if lines[end].rstrip().endswith(";") and not any("{" in seen for seen in lines[at:end + 1]):
                break  # a signature in a trait
            if end > at and lines[end].startswith(indent + "}"):
                break
        else:
            continue
        if not lines[end].rstrip().endswith(";"):
            yield at + 1, match.group(2), end - at + 1
