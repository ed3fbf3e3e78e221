"""The language of doc comments, comments and pages: plain sentences with a named subject, in the field's words.

`python3 scripts/lint/language.py [CRATE…]` lists what breaks a rule, without a crate in the pages too; `--docs` lists
the pages alone; `--test` checks the rules themselves.
"""

import re
import sys
from pathlib import Path

from source import ROOT, comments, doc_blocks, sources, tracked, without_tests

HEADLESS = re.compile(
    r"(What|Whatever|Who|Whoever|Whose|Whichever|So many|So much|So long|So it|None|Nobody|Nothing|Somebody|"
    r"Those|Such|That which|Why|How (many|much|often|long|far)|How|Where|When|As many|At most so)\b"
)
EVERYWHERE = [
    (re.compile(r"\bunless (it is )?said\b", re.I), 'write "defaults to"'),
    (re.compile(r"\bwho(so)?ever\b", re.I), "name the subject: a caller, a thread, a process"),
    (re.compile(
        r"\bwho (is|was|are|were|has|had|have|can|may|must|comes?|asks?|waits?|holds?|wants?|needs?|reads?|writes?|"
        r"gives?|takes?|opens?|knows?|sees?|uses?|begins?|does|do|owns?|made|left|finds?|calls?|runs?|lists?)\b", re.I),
     "name the subject: a caller, a thread, a process"),
    (re.compile(r"\b(somebody|nobody|anybody|everybody)\b", re.I), "name the subject, or write \"no tenant\", \"no caller\""),
    (re.compile(r"\b(told|lent|plucks?|plucked|heirs?|victims?|sighted|in vain)\b", re.I),
     "use the field's word: notified, checked out, take, successor, eviction candidate"),
    (re.compile(r"\bstock(s|ed|ing)?\b", re.I), "the word is warm pool"),
    (re.compile(r"\bwait(s|ed|ing)? for the disk\b", re.I), "the word is fsync"),
    (re.compile(r"\b(cuts?|moves?|moved|moving|cutting) (of )?the log\b", re.I), "the word is checkpoint"),
    (re.compile(r"\b(so to each|the like of it|the same again|goes? on with|went on with|made anew)\b", re.I),
     "write a plain sentence: resumes, again, rebuilt"),
]


def first_sentence(block):
    words = []
    for line in block:
        if not line.strip() or line.lstrip().startswith(("```", "#", "|", "- ")):
            break
        words.append(line.strip())
    text = " ".join(words)
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]


def faults_of_block(block, under=""):
    """What is wrong with one doc comment: pairs of a line in it and a reason."""
    summary = first_sentence(block)
    if HEADLESS.match(summary):
        yield 0, f'opens with "{summary.split()[0]}": name the thing (types) or say what it does (functions)'
    words = re.findall(r"[^\s\u2014-]+", summary)
    if summary and len(words) < 3 and not re.search(r"[\[`]", summary):
        yield 0, "a summary of one or two words says nothing"
    for at, line in enumerate(block[1:], 1):
        if re.match(r"(What|Who|Whoever|Whose|So many|None|Nobody)\b", line):
            yield at, f'a line opens with "{line.split()[0]}"'


def faults_of_line(words):
    for pattern, advice in EVERYWHERE:
        for match in pattern.finditer(re.sub(r"`[^`]*`", "``", words)):
            yield f'"{match.group()}": {advice}'


def faults(path):
    text = without_tests(path.read_text())
    for start, block, under in doc_blocks(text):
        for at, reason in faults_of_block(block, under):
            yield start + at, reason
    for number, words in comments(text):
        for reason in faults_of_line(words):
            yield number, reason


def pages():
    """The Markdown files that are written for people."""
    return tracked("*.md")


def prose(text):
    """The text of a page with its lines in place, without code, the targets of links, and past releases."""
    def blank(match):
        return "\n" * match.group().count("\n")

    text = re.sub(r"^ *```.*?^ *```$", blank, text, flags=re.M | re.S)
    text = re.sub(r"<!--.*?-->", blank, text, flags=re.S)
    # Inline code may be wrapped, but it ends in its paragraph.
    text = re.sub(r"`[^`]*?`", lambda match: "``" + blank(match), text)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)
    unreleased = re.search(r"^## \[Unreleased\]$.*?(?=^## \[|\Z)", text, re.M | re.S)
    if unreleased:
        before = text[:unreleased.start()].count("\n")
        text = "\n" * before + unreleased.group()
    return text


def faults_of_page(path):
    """What is wrong with a page: pairs of a line and a reason. Summaries are a matter of doc comments alone."""
    for number, line in enumerate(prose(path.read_text()).splitlines(), 1):
        for reason in faults_of_line(line):
            yield number, reason


def sentence_is_flagged(sentence):
    block = sentence.split("\n")
    return any(faults_of_block(block)) or any(any(faults_of_line(line)) for line in block)


def test():
    """60 sentences of earlier docs are flagged; sentences in the house's language are not."""
    wrong = 0
    for name, wanted in (("flagged.txt", True), ("plain.txt", False)):
        for sentence in (Path(__file__).parent / name).read_text().splitlines():
            if sentence and sentence_is_flagged(sentence) != wanted:
                print(f"{name}: {'not flagged' if wanted else 'flagged'}: {sentence}", file=sys.stderr)
                wrong += 1
    page = "The `stock` is [told](told.md).\n\n```sh\ncat stock\n```\n`a\nstock` is in\nstock"
    flagged = [number for number, line in enumerate(prose(page).splitlines(), 1) if any(faults_of_line(line))]
    if flagged != [1, 8]:
        print(f"a page: flagged are the lines {flagged}, not 1 and 8", file=sys.stderr)
        wrong += 1
    return wrong


def main(arguments):
    if arguments == ["--test"]:
        return test()
    found = 0
    files = [] if arguments else [(path, faults_of_page) for path in pages()]
    if arguments == ["--docs"]:
        arguments, files = [], [(path, faults_of_page) for path in pages()]
    else:
        files += [(path, faults) for crate in arguments or ["*"] for path in sources(crate)]
    for path, rules in files:
        for number, reason in rules(path):
            print(f"{path.relative_to(ROOT)}:{number}: {reason}")
            found += 1
    print(f"language: {found} faults", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
