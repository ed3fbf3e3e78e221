"""The pages in docs/: their lengths and links, and whether they name what the code has.

`python3 scripts/lint/pages.py` lists what is wrong.
"""

import re
import sys

from language import pages
from source import ROOT, sources, tracked, without_tests

DOCS = ROOT / "docs"
# Words of prose; pages that are looked up, not read, have no bound.
WORDS = {"architecture.md": 1000, "design": 1200}
OTHERS = 1500
LOOKED_UP = {"storage-format.md", "measurements.md", "troubleshooting.md", "configuration.md", "commands.md"}
# A piece of a message that is shorter proves nothing.
PIECE = 8


def words(text):
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    return len(re.findall(r"\S*\w\S*", text))


def bound(path):
    inside = path.relative_to(DOCS).parts
    if inside[0] in LOOKED_UP:
        return None
    return WORDS.get(inside[0], OTHERS)


def too_long():
    for path in sorted(DOCS.rglob("*.md")):
        most, found = bound(path), words(path.read_text())
        if most and found > most:
            yield f"{path.relative_to(ROOT)}: {found} words (at most {most})"


def anchors(path):
    """The anchors of a page's headings, as they are made for links."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        yield plain.strip().replace(" ", "-")


def broken_links():
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            where = page.relative_to(ROOT)
            if not path.exists():
                yield f"{where}: {target} is not there"
            elif anchor and anchor not in anchors(path):
                yield f"{where}: {target} has no such heading"


def code(name):
    return (ROOT / "crates" / name).read_text()


def words_of(name, function):
    """The words that a function of this name returns for the variants of an enum."""
    body = re.search(rf"fn {function}\(.*?\n    \}}\n", code(name), re.S)
    return set(re.findall(r'"(\w+)"', body.group()))


def named(text):
    return set(re.findall(r"`([^`]+)`", text))


def missing():
    """What the code has and its page does not name."""
    page = (DOCS / "troubleshooting.md").read_text()
    for name, function in (
        ("tenancy-core/src/resolver/reason.rs", "as_str"),
        ("tenancy-pool/src/error.rs", "reason"),
        ("tenancy-sqlite/src/fleet/findings.rs", "code"),
    ):
        for word in sorted(words_of(name, function) - named(page)):
            yield f"docs/troubleshooting.md: {word} of {name}"
    page = (DOCS / "configuration.md").read_text()
    types = re.sub(r"#\[serde\(skip\)\]\s*pub \w+", "", code("tenancy/src/config/mod.rs"))
    for table, fields in re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", types, re.M | re.S):
        if table == "Config":
            continue
        for key in sorted(set(re.findall(r"^    pub (\w+):", fields, re.M)) - named(page)):
            yield f"docs/configuration.md: the key {key} of {table}"
    page = (DOCS / "commands.md").read_text()
    commands = re.search(r"^pub enum Command \{\n(.*?)^\}", code("tenancy-cli/src/args/mod.rs"), re.M | re.S).group(1)
    for variant in re.findall(r"^    ([A-Z]\w*)", commands, re.M):
        command = re.sub(r"(?<!^)(?=[A-Z])", "-", variant).lower()
        hidden = re.search(rf"hide = true\)\]\s*{variant}\b", commands)
        if not hidden and not any(re.match(rf"{command}\b", name) for name in named(page)):
            yield f"docs/commands.md: the command {command}"


OPERATORS_ERRORS = (
    "tenancy/src/error.rs", "tenancy/src/config/error.rs", "tenancy-core/src/catalog/error.rs",
    "tenancy-core/src/resolver/invalid.rs", "tenancy-core/src/classify/builder.rs", "tenancy-fleet/src/error.rs",
    "tenancy-sqlite/src/error.rs", "tenancy-sqlite/src/error/*.rs",
)


def one_line(string):
    return re.sub(r"\s+", " ", re.sub(r"\\\n\s*", "", string).replace('\\"', '"'))


def pieces(message):
    """The fixed parts of a message, as a page quotes it."""
    parts = re.split(r"…|\bN\b|\bM\b|\bT\b|\bX\b|\"Y\"|\bNAME\b|\bNFS\b|30s", message)
    return [part for part in (part.strip(" ;,:()") for part in parts) if len(part) >= PIECE]


def uncovered_errors():
    """Errors that an operator may meet and troubleshooting does not quote."""
    page = (DOCS / "troubleshooting.md").read_text()
    quoted = {piece for message in named(page) for piece in pieces(message)}
    for path in tracked(*(f"crates/{name}" for name in OPERATORS_ERRORS)):
        for error in re.findall(r'#\[error\(\s*"((?:\\.|[^"\\])*)"', without_tests(path.read_text()), re.S):
            text = one_line(error)
            fixed = [part for part in re.split(r"\{[^}]*\}", text) if len(part.strip()) >= PIECE]
            if fixed and not any(piece in text for piece in quoted):
                yield f"docs/troubleshooting.md: {path.relative_to(ROOT)} has {text!r}"


def strange_messages():
    """Messages in the tables of troubleshooting that no source has."""
    strings = []
    for path in sources():
        text = without_tests(path.read_text())
        strings += re.findall(r'"((?:\\.|[^"\\])*)"', text, re.S)
    known = " ".join(one_line(string) for string in strings)
    page = (DOCS / "troubleshooting.md").read_text()
    for table in re.findall(r"^\| message \|.*?(?=^\n|\Z)", page, re.M | re.S):
        for row in table.splitlines()[2:]:
            for message in named(row.split(" | ")[0]):
                for piece in pieces(message):
                    if piece not in known:
                        yield f"docs/troubleshooting.md: no source has the message {piece!r}"


def documents():
    """The pages whose names of files and items have to be those of today."""
    return [page for page in pages() if page.name != "CHANGELOG.md"]


def spans(page):
    return named(re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S))


def expanded(path):
    """The paths that a pattern with braces stands for."""
    braces = re.search(r"\{([^{}]*)\}", path)
    if not braces:
        return [path]
    parts = braces.group(1).split(",")
    return [each for part in parts for each in expanded(path[:braces.start()] + part + path[braces.end():])]


def other_format():
    """Statements of the storage format that no source has, and columns of the catalog that the page does not name."""
    page = (DOCS / "storage-format.md").read_text()
    known = " ".join(" ".join(path.read_text().split()) for path in tracked("crates/tenancy-sqlite/src/*.rs"))
    for block in re.findall(r"```sql\n(.*?)```", page, re.S):
        for statement in filter(None, (" ".join(part.split()) for part in block.split(";"))):
            if statement not in known:
                yield f"docs/storage-format.md: no source has {statement[:60]}…"
    for path in tracked("crates/tenancy-sqlite/src/catalog/*.sql"):
        sql = re.sub(r"--.*", "", path.read_text())
        columns = set(re.findall(r"ADD COLUMN (\w+)", sql))
        for table in re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?\w+ \(\n(.*?)\n\)", sql, re.S):
            columns |= set(re.findall(r"^    ([a-z]\w*) ", table, re.M))
        names = {part.split(".")[-1] for part in spans(DOCS / "storage-format.md")}
        for column in sorted(columns - names):
            yield f"docs/storage-format.md: the column {column} of {path.name}"


def lost_paths():
    """Paths of the repository, and the ends of paths like `guard/references.rs`, that are not there."""
    files = [f"/{path.relative_to(ROOT)}" for path in tracked("*.rs", "*.sql")]
    for page in documents():
        for span in sorted(spans(page)):
            path = span.split()[0] if span.split() else ""
            if re.fullmatch(r"[a-z_/]*[a-z_]\.(rs|sql)", path) and not any(file.endswith(f"/{path}") for file in files):
                yield f"{page.relative_to(ROOT)}: {path} is not there"
            if not re.match(r"(crates|scripts|docs|benches|fuzz|\.ci)/", path) or re.search(r"[A-Z]{3}|[*…]", path):
                continue
            for each in expanded(path):
                if not (ROOT / each).exists():
                    yield f"{page.relative_to(ROOT)}: {each} is not there"


def lost_names():
    """Names like `Tenancy::create` or `Tenancy` of which a part is in no source."""
    known = set()
    for path in tracked("*.rs"):
        known.update(re.findall(r"\w+", path.read_text()))
    for page in documents():
        for span in sorted(spans(page)):
            if not re.fullmatch(r"\w+(::\w+)+(\(.*\))?|[A-Z][a-z]\w+", span):
                continue
            for part in re.findall(r"\w+", span.split("(")[0]):
                if part not in known:
                    yield f"{page.relative_to(ROOT)}: {span}: no source has {part}"


def has_example(name, texts):
    """Whether a type's own documentation has a block of code."""
    for text in texts:
        lines = text.split("\n")
        for at, line in enumerate(lines):
            if not re.match(rf"\s*pub (struct|enum|trait) {name}\b", line):
                continue
            while at > 0 and lines[at - 1].strip().startswith(("///", "#[", ")]")):
                at -= 1
                if "```" in lines[at]:
                    return True
    return False


def without_example():
    """Types that CONTRIBUTING names to newcomers and that have no example."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = re.search(r"^## Types to meet first\n(.*?)^## ", text, re.M | re.S).group(1)
    texts = [path.read_text() for path in sources()]
    # The example of this one is that of the crate.
    for name in sorted(set(re.findall(r"`([A-Z]\w+)`", table)) - {"Tenancy"}):
        if not has_example(name, texts):
            yield f"CONTRIBUTING.md: {name} has no example"


def all_faults():
    for check in (
        too_long, broken_links, missing, uncovered_errors, strange_messages, other_format, lost_paths, lost_names,
        without_example,
    ):
        yield from check()


if __name__ == "__main__":
    found = list(all_faults())
    print("\n".join(found))
    sys.exit(1 if found else 0)
