"""How many true answers grounding keeps, and how many false twins of them it catches.

Each human answer is grounded, as if a language model had said it without markers, over the passages
that the question's author gave as evidence. Kept: every sentence verified and the text unaltered
but for markers. A false twin has a number or a name changed, a date moved or the sense turned
round; it is caught unless its false sentence stays unmarked. Eleven sets, one policy: the human
answers of FinanceBench-dev, eight of pairs and two of single sentences in grounding_pairs.json,
which says who wrote them.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench import corpora
from bench.record import save
from foliotrace.adapters.local.keyword.analysis import PlainVocabulary
from foliotrace.model import Passage, RetrievalMode
from foliotrace.query.answer.anchors import UNKNOWN_PAGE
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.sentences import Grounder
from foliotrace.query.answer.quoting.passage_terms import PassageTermsCache
from foliotrace.settings import Grounding

COMMAND = "python -m bench.grounding"
PAIRS = Path(__file__).with_name("grounding_pairs.json")
POLICY: Grounding = "strict"
_MARKER = re.compile(
    r"\s?(?:\[(?:passage )?\^?\d+(?:, ?\d+)*\]|【\d+[^】]*】"
    r"|\((?:passage )?\d\)(?=[\s.,;]|$)|Source: ?\d\b[.,]?)",
    re.IGNORECASE,
)
"""A reference in any style that models use; ours are among them."""
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b")
_NAMES = ("Halvorsen", "Quistgaard", "Tremblay", "Okonjo")
_TURNS = (
    ("increase", "decrease"), ("improved", "declined"), ("improving", "declining"),
    ("growth", "decline"), ("decline", "increase"), ("Yes", "No"), ("No.", "Yes."),
    ("higher", "lower"), (" is ", " is not "), (" was ", " was not "), (" are ", " are not "),
    ("completed", "never completed"), ("closed", "never closed"), (" were ", " were not "),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A true answer over its evidence, if there is one, and false answers by kind."""

    question: str
    answer: str | None
    passages: list[ClaimEvidence]
    false: tuple[tuple[str, str], ...]


def main(*, show: str) -> None:
    corpora.present("financebench-dev")
    sets = {
        "financebench_dev": financebench_pairs(),
        "mended_with": written_pairs("mended_with"),
        "first_run": written_pairs("first_run"),
        "blind_mended": written_pairs("blind_mended"),
        "blind": written_pairs("blind"),
        "domains_mended": written_pairs("domains_mended"),
        "domains": written_pairs("domains"),
        "outsider_3_dev": written_pairs("outsider_3_dev"),
        "outsider_3_held": written_pairs("outsider_3_held"),
        "outsider_4_dev": written_claims("outsider_4_dev"),
        "author_5": written_claims("author_5"),
    }
    figures = {name: measured(pairs, show=show == name) for name, pairs in sets.items()}
    print(figures)
    save("grounding", {"policy": POLICY, **figures}, command=COMMAND)


def financebench_pairs() -> Iterator[Pair]:
    """The 41 human answers, with twins made by rule: used for development."""
    for number, row in enumerate(corpora.rows("financebench-dev/questions.jsonl")):
        answer, quoted = str(row["answer"]), cast("list[dict[str, str]]", row["evidence"])
        passages = evidence([(str(row["doc"]), each["text"]) for each in quoted])
        yield Pair(str(row["question"]), answer, passages, tuple(twins(answer, number)))


def written_pairs(name: str) -> Iterator[Pair]:
    """A set of pairs over other documents, with twins written by hand (the file says by whom)."""
    stored = json.loads(PAIRS.read_text())
    for each in (pair for pair in stored["pairs"] if pair["set"] == name):
        pages = [stored["passages"][key] for key in each["evidence"]]
        passages = evidence([(page["document"], page["text"]) for page in pages])
        twin = ((each["kind"], each["twin"]),)
        yield Pair(each["question"], each["answer"], passages, twin)


def written_claims(name: str) -> Iterator[Pair]:
    """A set of single sentences, true or false, without a question."""
    for each in json.loads(PAIRS.read_text())["claims"]:
        if each["set"] != name:
            continue
        passages = evidence([(each["document"], each["evidence"])])
        if each["supported"]:
            yield Pair("", each["claim"], passages, ())
        else:
            yield Pair("", None, passages, ((each["kind"], each["claim"]),))


def measured(pairs: Iterable[Pair], *, show: bool) -> dict[str, object]:
    """The shares kept and caught."""
    kept = Counter[bool]()
    caught: dict[str, Counter[bool]] = defaultdict(Counter)
    for pair in pairs:
        if pair.answer is not None:
            whole = unaltered(pair.question, pair.answer, pair.passages)
            kept[whole] += 1
            if show and not whole:
                print(f"lost    {pair.answer[:90]!r}")
        for kind, twin in pair.false:
            stays = unaltered(pair.question, twin, pair.passages)
            caught[kind][not stays] += 1
            if show and stays:
                print(f"missed  {kind}: {twin[:90]!r}")
    total = sum(caught.values(), Counter[bool]())
    return {
        "answers": kept.total(),
        "kept": _share(kept),
        "twins": total.total(),
        "caught": _share(total),
        "caught_by_kind": {
            kind: {"of": sum(c.values()), "caught": _share(c)} for kind, c in sorted(caught.items())
        },
    }


def evidence(texts: Sequence[tuple[str, str]]) -> list[ClaimEvidence]:
    """The passages of (document, text), with their terms."""
    cache = PassageTermsCache(PlainVocabulary())
    passages = [
        Passage(
            chunk_id=str(number), document_id=document, document_name=document, revision="", page=1,
            start=0, end=len(text), text=text, score=1.0, path=RetrievalMode.KEYWORD,
        )
        for number, (document, text) in enumerate(texts)
    ]  # fmt: skip
    return [ClaimEvidence(each, cache.of("bench", each, UNKNOWN_PAGE)) for each in passages]


def unaltered(question: str, answer: str, passages: list[ClaimEvidence]) -> bool:
    """Whether the answer comes out as it went in."""
    grounder = Grounder(passages, PlainVocabulary(), question, POLICY)
    text = grounder.feed(answer) + grounder.finish()
    return _bare(text) == _bare(answer)


def _bare(text: str) -> str:
    """The text without references and blanks."""
    return "".join(_MARKER.sub("", text).split())


def twins(answer: str, number: int) -> Iterator[tuple[str, str]]:
    """(kind, false answer): the true one with one thing changed."""
    for found in re.finditer(r"\d[\d,]*(?:\.\d+)?", answer):
        digits = found.group()
        if answer[found.start() - 1 : found.end() + 1] == f"({digits})":
            continue  # (1), (2): a list
        year = re.fullmatch(r"(?:19|20)\d\d", digits)
        if year:
            moved = str(int(digits) - 1 - number % 3)
            yield "date", answer[: found.start()] + moved + answer[found.end() :]
        elif not answer[found.end() : found.end() + 1].isalpha() or len(digits) > 2:
            changed = str((int(digits[0]) + 3) % 9 + 1) + digits[1:]
            yield "number", answer[: found.start()] + changed + answer[found.end() :]
    names = list(_NAME.finditer(answer))
    if names:
        name = names[number % len(names)]
        other = _NAMES[number % len(_NAMES)]
        yield "name", answer[: name.start()] + other + answer[name.end() :]
    for word, contrary in _TURNS:
        if word in answer:
            yield "negation", answer.replace(word, contrary, 1)
            break


def _share(counted: Counter[bool]) -> float:
    return round(counted[True] / max(1, counted.total()), 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", default="", help="print what was lost and missed of this set")
    main(show=parser.parse_args().show)
