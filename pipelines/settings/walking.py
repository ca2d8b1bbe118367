"""One walk over types and values together; problems are collected, none is raised."""

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Union, get_args, get_origin, get_type_hints

from pipelines.settings.leaves import element, endless, read_leaf
from pipelines.settings.problems import Problem, nearest, shown
from pipelines.settings.wording import UNIONS, expected, kinds_of, leaves_of, limits, remedy
from pipelines.settings.yaml_door import Place


def place_text(places: Mapping[Place, str], at: Place) -> str:
    """Return the dotted path, with the line it was written in where there is one."""
    path = ".".join(map(str, at)) or "page"
    return f"{path} ({places[at]})" if at in places and at else path


class Walk:
    """Builds dataclasses from plain values; `problems` says why one could not be built."""

    def __init__(self, places: Mapping[Place, str]) -> None:
        self.places = places
        self.problems: list[Problem] = []

    def value(self, hint: Any, raw: Any, *, at: Place = ()) -> Any:
        """Return `raw` as `hint` wants it; what is returned beside a problem means nothing."""
        bare = limits(hint).bare
        if not any(dataclasses.is_dataclass(leaf) for leaf in leaves_of(bare)):
            made, wrong = read_leaf(hint, raw)
            for inner, value, below in wrong:
                self._unfit((*at, *below), inner, value)
            return made
        if get_origin(bare) in UNIONS:
            return self._union(bare, raw, at)
        if get_origin(bare) is tuple:
            return self._list(hint, raw, at)
        if get_origin(bare) is dict:
            return self._dict(bare, raw, at)
        return self._settings(bare, raw, at)

    def _union(self, bare: Any, raw: Any, at: Place) -> Any:
        """Choose by `kind`, so that only the chosen branch complains."""
        parts = get_args(bare)
        if raw is None and type(None) in parts:
            return None
        rest = tuple(part for part in parts if part is not type(None))
        if len(rest) == 1:
            return self.value(rest[0], raw, at=at)
        kinds = kinds_of(bare)
        if not isinstance(raw, dict):
            self._unfit(at, Union[rest], raw)  # noqa: UP007
            return None
        kind, choices = raw.get("kind"), ", ".join(kinds)
        if "kind" not in raw:
            do = f"Add `kind:` with one of {choices}."
            self._say((*at, "kind"), "required, and not given", do=do)
        elif not isinstance(kind, str) or kind not in kinds:
            do = nearest(str(kind), list(kinds), otherwise="Choose one of them.")
            self._say((*at, "kind"), f"expected one of {choices}", got=shown(kind), do=do)
        else:
            return self._settings(kinds[kind], raw, at)
        return None

    def _settings(self, cls: Any, raw: Any, at: Place) -> Any:
        if not isinstance(raw, dict):
            self._unfit(at, cls, raw)
            return None
        hints = get_type_hints(cls, include_extras=True)
        fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
        before = len(self.problems)
        for key in raw:
            if key not in fields:
                self._say((*at, key), "no such setting", do=nearest(key, list(fields)))
        made: dict[str, Any] = {}
        for name, field in fields.items():
            if name in raw:
                made[name] = self.value(hints[name], raw[name], at=(*at, name))
            elif field.default is field.default_factory is dataclasses.MISSING:
                do = f"Add it: {expected(hints[name])}."
                self._say((*at, name), "required, and not given", do=do)
        return None if len(self.problems) > before else self._made(cls, made, at)

    def _made(self, cls: Any, values: dict[str, Any], at: Place) -> Any:
        """Build one dataclass whose fields are right; say what contradicts between them.

        A dataclass says so by a ValueError of its `__post_init__` or by a method `problems`: one
        text "field: what is wrong; got X. What to do." a contradiction, or a line of the error.
        """
        try:
            made = cls(**values)
            check = getattr(made, "problems", None)
            texts: list[str] = list(check()) if callable(check) else []  # pyright: ignore
        except ValueError as error:
            made, texts = None, str(error).splitlines()
        for text in texts:
            told = Problem.told(text)
            if told.where.partition(".")[0] in values:
                place = place_text(self.places, (*at, *told.where.split(".")))
            else:  # a text that begins with no field is told as it is
                place, told = place_text(self.places, at), Problem(where="", what=text, do="")
            self.problems.append(replace(told, where=place))
        return made

    def _list(self, hint: Any, raw: Any, at: Place) -> Any:
        known = limits(hint)
        if not isinstance(raw, list):
            self._unfit(at, hint, raw)
            return None
        count = len(raw)
        wanted = known.least if endless(known.bare) else len(get_args(known.bare))
        if count < wanted or (known.most is not None and count > known.most):
            self._unfit(at, hint, raw)
        inner = [element(known.bare, i) for i in range(count)]
        return tuple(
            self.value(part, item, at=(*at, i))
            for i, (part, item) in enumerate(zip(inner, raw, strict=True))
        )

    def _dict(self, bare: Any, raw: Any, at: Place) -> Any:
        if not isinstance(raw, dict):
            self._unfit(at, bare, raw)
            return None
        inner = get_args(bare)[1]
        return {key: self.value(inner, item, at=(*at, key)) for key, item in raw.items()}

    def _unfit(self, at: Place, hint: Any, raw: Any) -> None:
        self._say(at, f"expected {expected(hint)}", got=shown(raw), do=remedy(hint, raw))

    def _say(self, at: Place, what: str, *, do: str, got: str = "") -> None:
        where = place_text(self.places, at)
        self.problems.append(Problem(where=where, what=what, got=got, do=do))
