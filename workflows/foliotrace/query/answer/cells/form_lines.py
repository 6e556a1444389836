"""Lines of forms: "Claim # | SF-1008 | Make | Jeep" is two labels with a value each. Pure."""

from collections.abc import Sequence
from typing import Final

LINE_COLUMNS: Final = 6  # at most, of a form whose lines hold several labels
_LONGEST_LABEL: Final = 48  # characters


def labels_of_line(texts: Sequence[str], *, opens: bool) -> list[int]:
    """The places of a line's labels whose value stands right behind them.

    None where the line is an ordinary row: a label has no digit. A label with a colon may lack its
    value. `opens`: the first text stands in the first column; one label alone is then no form.
    """
    places: list[int] = []
    at = 0
    while at < len(texts):
        label = texts[at]
        after = texts[at + 1] if at + 1 < len(texts) else ""
        if any(map(str.isdigit, label)) or len(label) > _LONGEST_LABEL:
            return []
        if after and not (label.endswith(":") and after.endswith(":")):
            places.append(at)
            at += 2
        elif label.endswith(":"):
            at += 1  # a label without a value
        else:
            return []
    return places if len(places) > 1 or len(texts) > 2 or not opens else []
