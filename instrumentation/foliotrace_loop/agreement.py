"""How far people agree with each other, beyond chance."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the reviewers of a queue agree, over the items that enough of them have reviewed."""

    items: int
    agreed: float | None = field(metadata={"description": "Share of items with one label only."})
    cohen_kappa: float | None = field(metadata={"description": "For exactly two reviewers."})
    fleiss_kappa: float | None


def agreement_of(items: Sequence[Mapping[str, str]]) -> Agreement:
    """Agreement over items, each with the label of each reviewer.

    Fleiss' kappa is over the items with the commonest number of labels.
    """
    people = sorted({reviewer for item in items for reviewer in item})
    cohen = None
    if len(people) == 2:
        both = [item for item in items if len(item) == 2]
        cohen = cohen_kappa([i[people[0]] for i in both], [i[people[1]] for i in both])
    sizes = [len(item) for item in items]
    size = max(set(sizes), key=lambda each: (sizes.count(each), each), default=0)
    equal_pairs = [list(item.values()) for item in items if len(item) == size]
    return Agreement(
        items=len(items),
        agreed=sum(len(set(i.values())) == 1 for i in items) / len(items) if items else None,
        cohen_kappa=cohen,
        fleiss_kappa=fleiss_kappa(equal_pairs),
    )


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Agreement of two raters beyond chance, on the same items; None without items.

    1 if both only ever chose one and the same label. Source: Cohen, Educ. Psychol. Meas. 20 (1960).
    """
    if len(first) != len(second):
        raise ValueError("both raters label the same items")
    if not first:
        return None
    items = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / items
    left, right = Counter(first), Counter(second)
    expected = sum(left[label] * right[label] for label in left) / items**2
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(items: Sequence[Sequence[Hashable]]) -> float | None:
    """Agreement beyond chance where each item has the labels of the same number of raters.

    None without items, or with fewer than two labels each. Raises ValueError for unequal numbers.
    Source: Fleiss, Psychological Bulletin 76 (1971).
    """
    if not items or len(items[0]) < 2:
        return None
    raters = len(items[0])
    if any(len(labels) != raters for labels in items):
        raise ValueError("each item needs the same number of labels")
    counts = [Counter(labels) for labels in items]
    observed = fmean(
        (sum(n * n for n in each.values()) - raters) / (raters * (raters - 1)) for each in counts
    )
    totals = sum(counts, Counter[Hashable]())
    expected = sum((n / (len(items) * raters)) ** 2 for n in totals.values())
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)
