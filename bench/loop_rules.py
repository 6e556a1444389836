"""The loop's statistics against published values, and its filters against the client's own.

`statistics`: what the code computes beside what is published. `filters`: the filters that the
installed `langsmith` client documents in its source, and how many of them are read. Last, of 300
canaries that are as good as their baseline, how many are rolled back in 40 looks.
"""

import random
import re
from ast import literal_eval
from importlib.util import find_spec
from pathlib import Path

from bench.record import save
from foliotrace_loop.agreement import cohen_kappa, fleiss_kappa
from foliotrace_loop.releases.watch import SIGNIFICANT_WATCHED_ALL_DAY, more_often
from foliotrace_loop.runs.filters import FilterError, parse_filter
from foliotrace_loop.statistics import mcnemar, wilson

COMMAND = "python -m bench.loop_rules"
FLEISS_1971 = (
    *((0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1)),
    *((7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7)),
)


def statistics() -> dict[str, object]:
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    raters = [[label for label, n in enumerate(row) for _ in range(n)] for row in FLEISS_1971]
    interval = wilson(1, 29)
    kappas = cohen_kappa(first, second), fleiss_kappa(raters)
    assert interval is not None
    assert None not in kappas
    computed = {
        "Cohen's kappa, 20/5/10/15": (kappas[0], "0.400 (textbook)"),
        "Fleiss' kappa, 10 items, 14 raters": (kappas[1], "0.210 (Fleiss 1971)"),
        "McNemar, exact, 12 and 2": (mcnemar(12, 2), "0.01294 (R: binom.test(2, 14))"),
        "McNemar, exact, 0 and 6": (mcnemar(0, 6), "0.03125 (R: binom.test(0, 6))"),
        "Wilson, 1 of 29, low": (interval.low, "0.0061 (Newcombe 1998)"),
        "Wilson, 1 of 29, high": (interval.high, "0.1718 (Newcombe 1998)"),
        "Fisher, one-sided, 3 of 4 to 1 of 4": (more_often(1, 4, 3, 4), "0.2429 (17 of 70)"),
    }
    return {name: f"{found:.4g}; published {known}" for name, (found, known) in computed.items()}


def filters() -> dict[str, object]:
    spec = find_spec("langsmith")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    documented = set[str]()
    for module in ("client.py", "async_client.py"):
        found = re.findall(r"filter=('(?:[^'\\]|\\.)*')", (package / module).read_text("utf-8"))
        documented |= {literal_eval(each) for each in found}
    read = 0
    for text in documented:
        try:
            parse_filter(text)
        except FilterError as error:
            print(f"{text}: {error}")
        else:
            read += 1
    return {"documented by the client": len(documented), "read": read}


def rollbacks(share: float, significance: float, worse: float = 1.0) -> int:
    """How many of 300 canaries are rolled back, looked at after each 50 of 2000 runs."""
    chance = random.Random(3)
    taken_out = 0
    for _ in range(300):
        bad, bad_then = 0, 0
        for look in range(1, 41):
            bad += sum(chance.random() < share for _ in range(50))
            bad_then += sum(chance.random() < share * worse for _ in range(50))
            if more_often(bad, 50 * look, bad_then, 50 * look) < significance:
                taken_out += 1
                break
    return taken_out


def main() -> None:
    each = SIGNIFICANT_WATCHED_ALL_DAY / 5
    figures = {
        "statistics": statistics(),
        "filters": filters(),
        "rolled back of 300 canaries": {
            "as good, p < 0.05 at each look": rollbacks(0.05, 0.05),
            "as good, as the server judges": rollbacks(0.05, each),
            "three times as many errors, as the server judges": rollbacks(0.05, each, 3.0),
        },
    }
    print(figures)
    save("loop_rules", figures, command=COMMAND, packages=("langsmith",))


if __name__ == "__main__":
    main()
