"""The measures of the house: sizes, circles, public names, dependencies. Prints all of them and fails on a gate."""

import re
import statistics
import sys
import tomllib

import language
import pages
from source import ROOT, functions, sources, tracked, without_comments, without_tests
from structure import Crate, circles, is_type_and_builder

MEDIAN, NINE_TENTHS, LONGEST = 7, 25, 76
FILE = 500
README_EXAMPLE = 20
ROOT_NAMES = 16
CORE_WITHOUT_IDN = 21

failed = []


def gate(holds, what):
    if not holds:
        failed.append(what)
    print(f"  {'ok  ' if holds else 'FAIL'}  {what}")


def crates():
    return sorted(path.parent.name for path in (ROOT / "crates").glob("*/Cargo.toml"))


def sizes():
    print("functions and files")
    found = [
        (lines, f"{path.relative_to(ROOT)}:{number} {name}")
        for path in sources()
        for number, name, lines in functions(without_tests(path.read_text()))
    ]
    lengths = sorted(lines for lines, _ in found)
    median, nine_tenths = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    gate(median <= MEDIAN, f"median of {len(lengths)} functions: {median:g} lines (at most {MEDIAN})")
    gate(nine_tenths <= NINE_TENTHS, f"nine tenths: {nine_tenths} lines (at most {NINE_TENTHS})")
    lines, where = max(found)
    gate(lines <= LONGEST, f"longest: {lines} lines, {where} (at most {LONGEST})")
    long = [(len(path.read_text().splitlines()), path) for path in tracked("crates/*/src/*.rs")]
    lines, path = max(long)
    gate(lines <= FILE, f"longest file: {lines} lines, {path.relative_to(ROOT)} (at most {FILE})")


def doc_share():
    print("share of doc comments, printed only")
    for crate in crates():
        lines = [line.strip() for path in sources(crate) for line in path.read_text().splitlines() if line.strip()]
        docs = sum(line.startswith(("///", "//!")) for line in lines)
        print(f"        {crate}: {100 * docs / max(1, len(lines)):.0f} %")


def words():
    print("language")
    gate(language.test() == 0, "the rules flag what they should, and nothing else")
    for what, files, rules in (("comments", sources(), language.faults), ("pages", language.pages(), language.faults_of_page)):
        found = [f"{path.relative_to(ROOT)}:{number}: {reason}" for path in files for number, reason in rules(path)]
        for line in found[:20]:
            print(f"        {line}")
        gate(not found, f"faults in {what}: {len(found)} (0; scripts/lint/language.py lists them)")


def rooms():
    print("circles of files")
    for crate in crates():
        src = ROOT / "crates" / crate / "src"
        bad = [group for group, _ in circles(crate) if not is_type_and_builder(group)]
        for group in bad:
            print("        " + ", ".join(sorted(str(module.path.relative_to(src)) for module in group)))
        gate(not bad, f"{crate}: {len(bad)} beyond a type and its builder (0)")


def scattered():
    print("types with inherent impls in several files, printed only")
    for crate in crates():
        places = {}
        for path in sources(crate):
            code = without_comments(without_tests(path.read_text()))
            for name in re.findall(r"^\s*impl(?:<[^{]*?>)? (\w+)(?:<[^{]*>)? (?:where[^{]*)?\{", code, re.M):
                places.setdefault(name, set()).add(path.name)
        for name, files in sorted(places.items()):
            if len(files) > 1:
                print(f"        {crate}: {name} in {len(files)} files")


def public_names():
    print("public names of each crate, by module")
    for crate in crates():
        tree = Crate(crate)
        lib = tree.modules[()]
        for name, module in sorted(tree.modules.items()):
            path = "::".join(name) or "(root)"
            if name and not re.search(rf"\bpub mod {name[-1]}\b", tree.modules[name[:-1]].code):
                continue
            if any(not re.search(rf"\bpub mod {part}\b", tree.modules[name[:at]].code) for at, part in enumerate(name)):
                continue
            exported = {alias for alias, (_, public) in module.imports.items() if public}
            exported |= set(re.findall(r"^pub (?:const )?(?:struct|enum|trait|type|fn|const|static) (\w+)", module.code, re.M))
            if exported:
                print(f"        {crate} {path}: {len(exported)}")
        for block in re.finditer(r"^pub mod (\w+) \{\n(.*?)^\}", lib.code, re.M | re.S):
            exported = len(re.findall(r"\b[A-Z]\w*", block.group(2)))
            print(f"        {crate} {block.group(1)}: {exported}")
        if crate == "tenancy":
            body = re.sub(r"^pub mod \w+ \{\n.*?^\}", "", lib.code, flags=re.M | re.S)
            gate("*" not in "".join(re.findall(r"^pub use [^;]+;", body, re.M)), "tenancy exports no `*`")
            root = {name for use in re.findall(r"^pub use ([^;]+);", body, re.M) for name in re.findall(r"\b[A-Z]\w*", use)}
            gate(len(root) <= ROOT_NAMES, f"tenancy exports {len(root)} names at its root (at most {ROOT_NAMES})")


def dependencies():
    print("dependencies")
    unused = []
    for manifest in tracked("Cargo.toml", "*/Cargo.toml", "crates/*/Cargo.toml"):
        if manifest.parent == ROOT:
            continue
        parsed = tomllib.loads(manifest.read_text())
        for kind, where in (("dependencies", ("src/*",)), ("dev-dependencies", ("*",))):
            tables = [parsed.get(kind, {})]
            tables += [target.get(kind, {}) for target in parsed.get("target", {}).values()]
            folder = manifest.parent.relative_to(ROOT)
            files = tracked(*(f"{folder}/{pattern}.rs" for pattern in where)) + tracked(f"{folder}/*.rs")
            text = "\n".join(path.read_text() for path in set(files))
            enabled = " ".join(feature for features in parsed.get("features", {}).values() for feature in features)
            for name in {name for table in tables for name in table}:
                ident = name.replace("-", "_")
                if not re.search(rf"\b{ident}\b", text) and f"{name}/" not in enabled:
                    unused.append(f"{folder}: {name}")
    gate(not unused, f"unused: {', '.join(unused) or 'none'}")


def readme():
    print("README")
    examples = re.findall(r"```rust\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line for line in examples[0].splitlines() if line.strip() and not line.startswith("# ")]
    gate(len(lines) <= README_EXAMPLE, f"the example: {len(lines)} lines (at most {README_EXAMPLE})")


def documents():
    print("pages in docs/: lengths, links, and what they have to name")
    found = list(pages.all_faults())
    for line in found[:20]:
        print(f"        {line}")
    gate(not found, f"faults: {len(found)} (0; scripts/lint/pages.py lists them)")


for measure in (sizes, doc_share, words, rooms, scattered, public_names, dependencies, readme, documents):
    measure()
if failed:
    sys.exit(f"house: {len(failed)} gates failed")
