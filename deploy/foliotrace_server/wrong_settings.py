"""Settings that are wrong: each is reported, and dropped from the source that named it.

So a reading of the settings finds every problem at once, and `foliotrace doctor` can go on with the
settings that are right.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Final, TypeAlias

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

_Location: TypeAlias = tuple[int | str, ...]
_PAGE: Final = "See docs/reference/settings.md."


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """A setting, or a source of settings, that cannot be used. No text holds its value."""

    setting: str
    said: str
    hint: str = ""


def not_a_setting(setting: str, name: str, known: Collection[str]) -> SettingProblem:
    """The problem of an unknown name, with the nearest name that is known."""
    section = name.rpartition(".")[0]
    beside = {each.removeprefix(f"{section}."): each for each in _beside(name, known)}
    close = get_close_matches(name.removeprefix(f"{section}."), beside, n=1, cutoff=0.6)
    near = [beside[each] for each in close]
    said = "is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    return SettingProblem(setting, said, _PAGE)


def _fix(error: Exception) -> str:
    backslash = isinstance(error, TOMLDecodeError) and re.search(r"Unescaped|hex", str(error))
    windows = " Write Windows paths in single quotes or with forward slashes." if backslash else ""
    return f"Fix the file.{windows}"


def _beside(name: str, known: Collection[str]) -> Collection[str]:
    """The known names of the same section; of a name at the top, the sections and what is there."""
    if "." in name:
        section = name.rpartition(".")[0] + "."
        return [each for each in known if each.startswith(section)] or known
    if any("." in each for each in known):
        return {each.partition(".")[0] for each in known}
    return known


@dataclass(slots=True)
class Sources:
    """The sources of one reading: `described` by path, and the settings file at `path`."""

    described: Mapping[str, str]
    path: Path
    problems: list[SettingProblem] = field(default_factory=list)
    dropped: dict[_Location, str] = field(default_factory=dict)  # and where: "" until it is found

    def without_wrong(
        self, order: Callable[[], tuple[PydanticBaseSettingsSource, ...]], kind: type[BaseSettings]
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources in their order; an unreadable settings file is reported and left out."""
        try:
            ordered = order()
        except (TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            said = "cannot be read" if isinstance(error, OSError) else f"is not TOML: {error}"
            self.report("config", f"{self.path} {said}", _fix(error))
            kind.toml_file = Path()  # type: ignore[attr-defined] # of Settings
            ordered = order()
        places = ("the command line", "the environment", ".env", "a secret file", str(self.path))
        return tuple(
            _WithoutWrong(kind, inner, place, self)
            for inner, place in zip(ordered, places, strict=True)
        )

    def drop(self, error: ValidationError) -> None:
        """Report what pydantic refused, and have it dropped from now on."""
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            where: _Location = problem["loc"]
            name = ".".join(map(str, where)) or "settings"
            kept = where[:-1] if problem["type"] == "missing" else where
            if not kept or kept in self.dropped:
                kept = where[:1]  # a part of it was not enough
            self.dropped[kept] = ""
            if problem["type"] == "extra_forbidden":
                found = not_a_setting(name, name, self.described)
                self._add(replace(found, said=found.said + self._line_of(where)))
            else:
                about = self.described.get(name)
                said = problem["msg"].removeprefix("Value error, ")
                self.report(name, said, f"{name}: {about}" if about else _PAGE)

    def _line_of(self, where: _Location) -> str:
        """File and line of a name in the settings file; "" if it stands on none, or on more."""
        try:
            lines = self.path.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            return ""
        name = re.escape(str(where[-1]))
        names_it = re.compile(rf"\s*(\[+\s*([\w.]+\.)?{name}\s*\]|\"?{name}\"?\s*=)")
        found = [number for number, line in enumerate(lines, 1) if names_it.match(line)]
        return f" ({self.path.name}, line {found[0]})" if len(found) == 1 else ""

    def report(self, setting: str, said: str, hint: str) -> None:
        """Add a problem, unless there is one of that setting."""
        self._add(SettingProblem(setting, said, hint))

    def _add(self, problem: SettingProblem) -> None:
        if all(each.setting != problem.setting for each in self.problems):
            self.problems.append(problem)

    def each_once(self, prefix: str) -> Sequence[SettingProblem]:
        """The problems; an unknown variable is refused under both of its names."""
        variables = {each.setting.upper() for each in self.problems}
        return [
            each
            for each in self.problems
            if prefix + each.setting.upper().replace(".", "__") not in variables
        ]


class _WithoutWrong(PydanticBaseSettingsSource):
    """A source without what was dropped from it."""

    def __init__(
        self,
        kind: type[BaseSettings],
        inner: PydanticBaseSettingsSource,
        place: str,
        sources: Sources,
    ) -> None:
        super().__init__(kind)
        self._inner = inner
        self._place = place
        self._sources = sources

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """As the source itself."""
        return self._inner.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        """Its values by name."""
        try:
            values = self._inner()
        except SettingsError as error:  # it names the field, not the value
            said = f"cannot be read: {error}"
            self._sources.report(self._place, said, "Lists and tables are written as JSON there.")
            return {}
        for where, place in self._sources.dropped.items():
            if place in ("", self._place) and _remove(values, where):
                self._sources.dropped[where] = self._place
        return values


def _remove(values: dict[str, Any], where: _Location) -> bool:
    """Remove what stands at `where`, or what it is part of; whether anything stood there."""
    for part in where[:-1]:
        inner = values.get(str(part))
        if not isinstance(inner, dict):
            return values.pop(str(part), None) is not None
        values = inner
    return values.pop(str(where[-1]), None) is not None
