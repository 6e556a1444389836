"""The answers that people read: 40 questions, every k-th of both development sets by id.

`--out FILE` asks them and writes lines of set, id, question, gold, answer, verdict and reason, the
last two empty; readers fill in `verdict` (right, partly, wrong, refused) and `reason`. `--keep
FILE` writes what was read to `bench/readings/`: without the texts of a set that may not be copied.
"""

import argparse
import asyncio
import hashlib
import json
import tempfile
from pathlib import Path

from bench import corpora
from bench.answers import FILINGS, asked
from bench.query_stack import open_query_stack

COUNT = 40
COPIED = frozenset({"sec10q-dev"})  # MIT; the licence of FinanceBench allows evaluation only
TEXTS = ("question", "gold", "answer", "reason")  # a reason quotes the gold answer
VERDICTS = ("right", "partly", "wrong", "refused")
KEPT = Path(__file__).parent / "readings"


def chosen() -> list[tuple[str, dict[str, object]]]:
    """(set, row) of the 40 questions."""
    found = [(name, row) for name in FILINGS for row in corpora.rows(f"{name}/questions.jsonl")]
    found.sort(key=lambda each: str(each[1]["id"]))
    return [found[place * len(found) // COUNT] for place in range(COUNT)]


async def ask(folder: Path, out: Path) -> None:
    corpora.present(*FILINGS)
    async with open_query_stack(folder) as (at, services):
        for name in FILINGS:
            await corpora.serve_files(at, corpora.pdfs(name), collection=name)
        lines = []
        for name, row in chosen():
            (answer,) = await asked(services, name, [str(row["question"])])
            line = {
                "set": name,
                "id": row["id"],
                "question": row["question"],
                "gold": row["answer"],
                "answer": answer.text,
                "verdict": "",
                "reason": "",
            }
            lines.append(json.dumps(line, ensure_ascii=False))
    out.write_text("\n".join(lines) + "\n")  # noqa: ASYNC240 - nothing else runs beside it


def keep(read: Path) -> Path:
    """The committed form of a file that was read; every line must have its verdict."""
    kept = []
    for line in map(json.loads, read.read_text().splitlines()):
        if line["verdict"] not in VERDICTS or not line["reason"]:
            raise SystemExit(f"{line['id']}: verdict must be one of {VERDICTS}, with a reason")
        line["answer_sha256"] = hashlib.sha256(line["answer"].encode()).hexdigest()
        if line["set"] not in COPIED:
            line = {key: value for key, value in line.items() if key not in TEXTS}
        kept.append(json.dumps(line, ensure_ascii=False))
    KEPT.mkdir(exist_ok=True)
    path = KEPT / read.name
    path.write_text("\n".join(kept) + "\n")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the library here and use it again")
    parser.add_argument("--out", type=Path, help="where the answers to read are written")
    parser.add_argument("--keep", type=Path, help="a file of read answers")
    options = parser.parse_args()
    if options.keep:
        print(keep(options.keep))
    elif options.out and options.folder:
        asyncio.run(ask(options.folder, options.out))
    elif options.out:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(ask(Path(made), options.out))
    else:
        parser.error("--out or --keep is needed")
