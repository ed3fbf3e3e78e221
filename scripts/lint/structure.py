"""Which file of a crate uses which: the arrows between files, and the circles in them.

An arrow goes from the file that names an item to the file that defines it, through all re-exports. That a module
declares its children or re-exports their items is no arrow.
"""

import re

from source import ROOT, sources, without_comments, without_tests

SEGMENT = r"(?:r#)?[A-Za-z_]\w*"


class Module:
    def __init__(self, path, name):
        self.path, self.name = path, name
        self.children, self.imports, self.globs, self.items = {}, {}, [], set()
        self.code = ""


def split_tree(tree):
    """The paths in a use tree: `a::{b, c as d}` gives (["a", "b"], "b") and (["a", "c"], "d")."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = tree.partition(" as ")
        parts = [part.strip() for part in path.split("::") if part.strip()]
        return [(parts, (alias.strip() or (parts[-1] if parts else "")))] if parts else []
    head = [part.strip() for part in tree[:brace].split("::") if part.strip()]
    inside, depth, start, found = tree[brace + 1:tree.rindex("}")], 0, 0, []
    for at, char in enumerate(inside + ","):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            found += split_tree(inside[start:at])
            start = at + 1
    result = []
    for parts, alias in found:
        if parts == ["self"]:
            parts, alias = [], alias if alias != "self" else head[-1]
        result.append((head + parts, alias))
    return result


def modules(crate):
    """Every module of a crate that has a file of its own, by its path of names."""
    src = ROOT / "crates" / crate / "src"
    found = {}
    for path in sources(crate):
        parts = list(path.relative_to(src).with_suffix("").parts)
        if parts[-1] in ("mod", "lib", "main"):
            parts.pop()
        module = Module(path, tuple(parts))
        module.code = without_comments(without_tests(path.read_text()))
        found[module.name] = module
    for name, module in found.items():
        if name and name[:-1] in found:
            found[name[:-1]].children[name[-1]] = module
        for match in re.finditer(r"\b(pub(?:\([^)]*\))?\s+)?use ([^;]+);", module.code):
            for parts, alias in split_tree(match.group(2)):
                if parts[-1] == "*":
                    module.globs.append(parts[:-1])
                else:
                    module.imports[alias] = (parts, bool(match.group(1)))
        for match in re.finditer(
            rf"\b(?:struct|enum|trait|type|fn|const|static|union|macro_rules!|mod)\s+({SEGMENT})", module.code
        ):
            module.items.add(match.group(1))
    return found


class Crate:
    def __init__(self, crate):
        self.modules = modules(crate)

    def resolve(self, module, parts, seen=()):
        """The module that defines what a path names, seen from a module; None if it is of another crate."""
        if (module.name, tuple(parts)) in seen:
            return None
        seen = (*seen, (module.name, tuple(parts)))
        parts = list(parts)
        if parts[0] == "crate":
            here, parts = self.modules[()], parts[1:]
        elif parts[0] in ("self", "super"):
            here = module
            while parts and parts[0] in ("self", "super"):
                if parts.pop(0) == "super":
                    here = self.modules.get(here.name[:-1])
                    if here is None:
                        return None
        else:
            here = module
            if parts[0] not in here.children:
                return None
        while parts:
            name = parts[0]
            if name in here.children:
                here, parts = here.children[name], parts[1:]
                continue
            if name in here.imports and name not in here.items:
                target, _ = here.imports[name]
                return self.resolve(here, [*target, *parts[1:]], seen) if self.is_local(here, target) else None
            if name not in here.items:
                for glob in here.globs:
                    if self.is_local(here, glob):
                        inner = self.resolve(here, glob, seen)
                        if inner and (name in inner.items or name in inner.imports):
                            return self.resolve(inner, ["self", *parts], seen)
            return here
        return here

    def is_local(self, module, parts):
        return parts[0] in ("crate", "self", "super") or parts[0] in module.children

    def arrows(self):
        """From each file the files it uses, with one name that shows it."""
        found = {}
        for module in self.modules.values():
            targets = found.setdefault(module, {})
            for parts, _ in list(module.imports.values()):
                # A re-export is no use of its own, unless the name occurs in the code, too.
                self.arrow(module, targets, parts, self.uses(module, parts))
            code = re.sub(r"\buse [^;]+;", "", module.code)
            children = "|".join(map(re.escape, module.children)) or "$^"
            for match in re.finditer(rf"(?<![:\w])((?:crate|super|self|{children})(?:::{SEGMENT})+)", code):
                self.arrow(module, targets, match.group(1).split("::"), True)
        return found

    def uses(self, module, parts):
        alias = next(alias for alias, (target, _) in module.imports.items() if target == parts)
        public = module.imports[alias][1]
        if not public:
            return True
        code = re.sub(r"\b(use|mod) [^;{]+(\{[^;]*\})?;", "", module.code)
        return re.search(rf"\b{re.escape(alias)}\b", code) is not None

    def arrow(self, module, targets, parts, counts):
        if counts and self.is_local(module, parts):
            target = self.resolve(module, parts)
            if target and target is not module:
                targets.setdefault(target, parts[-1])


def circles(crate):
    """The groups of files that use each other, directly or through others."""
    arrows = Crate(crate).arrows()
    index, low, stack, on, groups = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on.add(node)
        for target in arrows.get(node, {}):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in on:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = []
            while True:
                group.append(stack.pop())
                on.discard(group[-1])
                if group[-1] is node:
                    break
            if len(group) > 1:
                groups.append(group)

    for node in arrows:
        if node not in index:
            visit(node)
    return [(group, arrows) for group in groups]


def is_type_and_builder(group):
    return len(group) == 2 and any("builder" in module.path.stem for module in group)
