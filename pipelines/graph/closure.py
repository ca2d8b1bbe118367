"""Code identity, read from source: which definitions of ours a function can reach.

Nothing is imported, so it costs no torch and no Ray. A definition is everything at module level
that binds or touches a name: def, class, assignment, also inside if, try, with, for; later
`TABLE["x"] = f` and `TABLE |= ...` count for TABLE; bare calls count for whatever is reached in
their module. Comments, docstrings, layout and unused neighbours are not in it; decorators,
defaults, bases and annotations are.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines.graph.decorators import keeps_rows
from pipelines.graph.mentions import Mentions, mentions_of
from pipelines.graph.source_text import EFFECT, Module, parse, text_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipelines", "components", "cluster")

# The closure stops at these doors. What of them can change a result is pinned by one number each,
# counted up by hand. cluster: how items are shared out over workers, their order, seeds per rank,
# the sum over ranks. pipelines.graph: what a Task holds.
CLUSTER_CONTRACT = 1
TASK_CONTRACT = 1
DOORS = {"cluster": CLUSTER_CONTRACT, "pipelines.graph": TASK_CONTRACT}

Definition = tuple[str, str]  # module and name; the name "*" is all of the module
Hits = tuple[Definition, ...]  # where a name is made, then what importing did on the way there
MODULE = "*"


class CodeError(ValueError):
    """Code whose reach cannot be read from its source."""


class Code:
    """The source of some packages, parsed on demand and kept for the life of the object."""

    def __init__(self, roots: Mapping[str, Path] | None = None) -> None:
        self.roots: dict[str, Path] = dict(roots or {name: ROOT for name in PACKAGES})
        self._modules: dict[str, Module | None] = {}
        self._parts: dict[Definition, tuple[str, tuple[Definition, ...]]] = {}
        self._effects: dict[str, tuple[str, tuple[Definition, ...]] | None] = {}
        self._found: dict[Definition, Hits] = {}
        self._closures: dict[tuple[Definition, ...], dict[str, str]] = {}
        self.texts: dict[str, str] = {}  # digest -> text of a definition

    def adopt(self, thing: Callable[..., Any]) -> None:
        """Count the top-level package of a function or class as ours."""
        top, _, rest = thing.__module__.partition(".")
        if top in self.roots:
            return
        loaded = sys.modules.get(thing.__module__)
        file = loaded.__file__ if loaded else None
        if file is None:
            raise CodeError(
                f"{thing.__module__}: needs a source file; got none. Put the function in a module."
            )
        depth = len(rest.split(".")) if rest else 0
        is_package = Path(file).name == "__init__.py"
        self.roots[top] = Path(file).resolve().parents[depth + (1 if is_package else 0)]

    def closure(self, start: Iterable[Definition]) -> dict[str, str]:
        """Return {"module:name": digest} of every definition that these can reach.

        Raises:
            CodeError: a start is not a definition of ours, or reached code hides what it calls.
        """
        starts = tuple(dict.fromkeys(start))
        if starts in self._closures:
            return self._closures[starts]
        todo: list[Definition] = []
        for module, name in starts:
            hit = self.find(module, name.split(".")[0])
            if hit is None:
                raise CodeError(
                    f"{module}:{name}: must be at the top level of our source; got no such name. "
                    "Move it there."
                )
            todo.append(hit)
        out: dict[str, str] = {}
        while todo:
            module, name = todo.pop()
            label = f"{module}:{name}"
            if label in out:
                continue
            if door := _door(module):
                out[f"{door}:<contract>"] = str(DOORS[door])
                continue
            if name == MODULE:
                todo.extend((module, made) for made in self._must(module).makes)
            elif name != EFFECT:
                out[label], more = self._part(module, name)
                todo.extend(more)
            for package in _ancestors(module):
                effect = self._effect(package) if self.module(package) else None
                if effect and f"{package}:{EFFECT}" not in out:
                    out[f"{package}:{EFFECT}"] = effect[0]
                    todo.extend(effect[1])
        self._closures[starts] = out
        return out

    def module(self, name: str) -> Module | None:
        """Return a parsed module of ours, or None where there is no such file."""
        if name not in self._modules:
            self._modules[name] = None
            for path in self.places(name):
                if path.is_file():
                    package = path.name == "__init__.py"
                    self._modules[name] = parse(name, path, is_package=package)
                    break
        return self._modules[name]

    def places(self, name: str) -> tuple[Path, ...]:
        """Return the files that a module of this name may be in; none where it is not ours."""
        root = self.roots.get(name.split(".", maxsplit=1)[0])
        if root is None:
            return ()
        stem = root.joinpath(*name.split("."))
        return stem / "__init__.py", stem.with_suffix(".py")

    def files(self, closure: Mapping[str, str]) -> dict[str, Path]:
        """Return the files that a closure was read from, by module."""
        names = {label.partition(":")[0] for label in closure}
        return {n: m.path for n in sorted(names) if not _door(n) and (m := self.module(n))}

    def find(self, module: str, name: str) -> Definition | None:
        """Return where a name of a module is really made, through re-exports and stars."""
        return next(iter(self._reach(module, name)), None)

    def _reach(self, module: str, name: str) -> Hits:
        asked = (module, name)
        if asked not in self._found:
            self._found[asked] = self._find(module, name, ())
        return self._found[asked]

    def _find(self, module: str, name: str, seen: tuple[Definition, ...]) -> Hits:
        if _door(module):
            return ((module, name),)
        if (module, name) in seen:  # a circle of imports
            return ()
        made = self.module(module)
        if made and name in made.makes:
            return (module, name), *((passed, EFFECT) for passed, _ in seen)
        seen = (*seen, (module, name))
        if made and name in made.imports:
            return self._origin(*made.imports[name][0], seen)
        found = [self._origin(star, name, seen) for star in made.stars] if made else []
        if (made is None or made.is_package) and self.module(f"{module}.{name}"):
            found.append(((f"{module}.{name}", MODULE),))
        if made and "__getattr__" in made.makes:
            found.append(((module, "__getattr__"),))
        return next((hits for hits in found if hits), ())

    def _origin(
        self, source: str, attribute: str | None, seen: tuple[Definition, ...] = ()
    ) -> Hits:
        if source.split(".", maxsplit=1)[0] not in self.roots:
            return ()
        return ((source, MODULE),) if attribute is None else self._find(source, attribute, seen)

    def _resolve(self, module: Module, found: Mentions, chain: tuple[str, ...]) -> Hits:
        """Return what a.b.c leads to: the first definition on the way, or a whole module."""
        if chain[0] in found.imports:
            starts = [self._origin(*origin) for origin in found.imports[chain[0]]]
        else:
            starts = [self._reach(module.name, chain[0])]
        out: list[Definition] = []
        for hits in starts:
            for name in chain[1:]:
                if not hits or hits[0][1] != MODULE:
                    break
                hits = (*self._reach(hits[0][0], name), *hits[1:])  # noqa: PLW2901
            out += hits
        return tuple(out)

    def _part(self, module: str, name: str) -> tuple[str, tuple[Definition, ...]]:
        """Return the digest of one definition, and what it mentions."""
        if (module, name) not in self._parts:
            made = self._must(module)
            text, found = _read(made, name)
            refs = self.references(made, found)
            for origin in made.imports.get(name, ()):  # touched here, made elsewhere
                refs |= dict.fromkeys(self._origin(*origin))
            self._parts[module, name] = self._digest(text), tuple(refs)
        return self._parts[module, name]

    def _effect(self, module: str) -> tuple[str, tuple[Definition, ...]] | None:
        """Return what importing a module does: bare calls, and decorators that keep rows."""
        if module not in self._effects:
            made = self._must(module)
            statements = [*made.effects]
            statements += [part for part in made.decorated if keeps_rows(self, made, part)]
            for name in made.imports.keys() & made.makes.keys():
                statements += made.makes[name]  # touches a name of another module
            refs = self.references(made, mentions_of(made, statements))
            digest = self._digest(text_of(statements)) if statements else ""
            self._effects[module] = (digest, tuple(refs)) if statements else None
        return self._effects[module]

    def references(self, module: Module, found: Mentions) -> dict[Definition, None]:
        """Resolve what code mentions to definitions of ours; refuse what hides them."""
        for name, line in found.hidden:
            if self.find(module.name, name) is None and not _is_ours(self, found, name):
                raise CodeError(_hidden(module, line, name))
        for name, chain, line in found.by_name:
            hits = self._resolve(module, found, chain) if chain else ()
            if any(made == MODULE and not _door(source) for source, made in hits):
                raise CodeError(_hidden(module, line, name))
        refs: dict[Definition, None] = {}
        for chain in found.chains:
            refs |= dict.fromkeys(self._resolve(module, found, chain))
        for name in found.quoted:
            hits = self._resolve(module, found, (name,))
            if hits and hits[0][1] != MODULE:
                refs |= dict.fromkeys(hits)
        return refs

    def _digest(self, text: str) -> str:
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.texts[digest] = text
        return digest

    def _must(self, name: str) -> Module:
        module = self.module(name)
        if module is None:
            raise CodeError(f"{name}: must be a module of ours; got no file. Check its name.")
        return module


@lru_cache(maxsize=16384)
def _read(module: Module, name: str) -> tuple[str, Mentions]:
    """Return the text of a definition, and what it mentions."""
    statements = module.makes[name]
    return text_of(statements), mentions_of(module, statements)


def code_digest(closure: Mapping[str, str]) -> str:
    """Return one digest of a closure, 64 hex digits."""
    text = json.dumps(dict(closure), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (definition, "added" | "removed" | "changed") between two closures, sorted."""
    out: list[tuple[str, str]] = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            how = "added" if name not in old else "removed" if name not in new else "changed"
            out.append((name, how))
    return out


def _door(module: str) -> str | None:
    return next((d for d in DOORS if module == d or module.startswith(f"{d}.")), None)


def _ancestors(module: str) -> list[str]:
    """Return the module and the packages whose __init__ runs when it is imported."""
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _is_ours(code: Code, found: Mentions, name: str) -> bool:
    return any(origin[0].split(".")[0] in code.roots for origin in found.imports.get(name, ()))


def _hidden(module: Module, line: int, name: str) -> str:
    return (
        f"{module.path}:{line}: code is named, so that a key can see it; "
        f"got {name}, which chooses it by a string. Use a table."
    )
