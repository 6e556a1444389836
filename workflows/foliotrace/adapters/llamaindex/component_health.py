"""What the last call of an object of the user's own said: its error's type and first line."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LONGEST: Final = 200
_SHARED: Final = 12  # characters in common with what was sent, from which a message may quote it
_SECRETS: Final = (
    (re.compile(r"(?<=://)[^/\s@]*@"), ""),  # user and password in a URL
    (
        re.compile(r"(?i)\b(api[-_ ]?key|token|secret|password|bearer)(\W{1,4})\S+"),
        r"\1\2[removed]",
    ),
    (re.compile(r"\b(?=\w*\d)[\w-]{24,}"), "[removed]"),  # a long word with digits may be a key
)


class ComponentHealth:
    """The health of one object that the settings name as `part`.

    `report` is called when it changes: with the error in words, or None when a call works again.
    """

    def __init__(self, part: str, report: Callable[[str, str | None], None]) -> None:
        self.part = part
        self.failure: str | None = None
        self._report = report

    @contextmanager
    def watch(self, *sent: str) -> Iterator[None]:
        """Note how the call in this block ends. `sent` must not be repeated in what is reported."""
        try:
            yield
        except Exception as error:
            self._change(describe_failure(error, sent))
            raise
        else:
            self._change(None)

    def _change(self, failure: str | None) -> None:
        if failure != self.failure:
            self.failure = failure
            self._report(self.part, failure)


def describe_failure(error: BaseException, sent: tuple[str, ...] = ()) -> str:
    """`Type: first line` without credentials; the type alone if the line may quote `sent`."""
    name = type(error).__name__
    line = next((each.strip() for each in str(error).splitlines() if each.strip()), "")
    if not line or any(_quotes(line, each) for each in sent):
        return name
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    return f"{name}: {line[:_LONGEST]}"


def _quotes(line: str, sent: str) -> bool:
    """Whether the line shares a run of characters with the text; all of it, if that is short."""
    if len(sent) <= _SHARED:
        return bool(sent.strip()) and bool(re.search(rf"\b{re.escape(sent)}\b", line))
    runs = (line[at : at + _SHARED] for at in range(len(line) - _SHARED + 1))
    return any(run in sent for run in runs)
