"""`./run bench` lists the benchmarks, `./run bench NAME ...` runs one, `./run bench all` each."""

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = {
    "__init__",
    "__main__",
    "corpora",
    "environments",
    "labelled",
    "mixed_files",
    "paper",
    "plain_bm25",
    "query_stack",
    "receipts",
    "record",
    "service_process",
    "summary",
}


def main() -> None:
    names = sorted(f.stem for f in HERE.glob("*.py") if f.stem not in NOT_BENCHMARKS)
    chosen = sys.argv[1] if len(sys.argv) > 1 else None
    if chosen != "all" and chosen not in names:
        print("benchmarks:", *names, sep="\n  ")
        raise SystemExit(0 if chosen is None else 2)
    for name in names if chosen == "all" else [chosen]:
        print(f"--- {name}", file=sys.stderr)
        sys.argv = [f"bench.{name}", *sys.argv[2:]]
        runpy.run_module(f"bench.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
