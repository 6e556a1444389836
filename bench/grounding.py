"""How many true answers grounding keeps, and how many false twins of them it catches.

Each human answer of the development questions is grounded, as if a language model had said it
without markers, over the passages that the question's author gave as evidence. Kept: every sentence
verified and the text unaltered but for markers. Each answer that has one gets a false twin of four
kinds: a number changed, a name changed, a date moved, the sense turned round. A twin is caught
unless its false sentence stays unmarked.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from bench import corpora
from bench.record import save
from foliotrace.adapters.local.keyword.query import content_terms
from foliotrace.model import Passage, RetrievalMode
from foliotrace.query.answer.anchors import UNKNOWN_PAGE
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.sentences import Grounder
from foliotrace.query.answer.quotes import PassageTermsCache

COMMAND = "python -m bench.grounding"
_MARKER = re.compile(r"\s?\[\d+\]")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b")
_NAMES = ("Halvorsen", "Quistgaard", "Tremblay", "Okonjo")
_TURNS = (
    ("increase", "decrease"), ("improved", "declined"), ("improving", "declining"),
    ("growth", "decline"), ("decline", "increase"), ("Yes", "No"), ("No.", "Yes."),
    ("higher", "lower"), (" is ", " is not "), (" was ", " was not "), (" are ", " are not "),
    ("completed", "never completed"), ("closed", "never closed"), (" were ", " were not "),
)  # fmt: skip


class Words:
    """The keyword index's terms, without an index."""

    def terms(self, text: str) -> list[str]:
        """Stemmed words."""
        return content_terms(text)

    def weights(self, terms: list[str], *, tenant: str, collection: str) -> list[float]:
        """Not asked here."""
        raise NotImplementedError


def main(*, show: bool) -> None:
    corpora.present("financebench-dev")
    kept = Counter[bool]()
    caught: dict[str, Counter[bool]] = defaultdict(Counter)
    for number, row in enumerate(corpora.rows("financebench-dev/questions.jsonl")):
        passages = evidence([str(each["text"]) for each in row["evidence"]], str(row["doc"]))
        question, answer = str(row["question"]), str(row["answer"])
        whole = unaltered(question, answer, passages)
        kept[whole] += 1
        if show and not whole:
            print(f"lost    {answer[:90]!r}")
        for kind, twin in twins(answer, number):
            stays = unaltered(question, twin, passages)
            caught[kind][not stays] += 1
            if show and stays:
                print(f"missed  {kind}: {twin[:90]!r}")
    total = sum(caught.values(), Counter[bool]())
    figures = {
        "gold_answers": sum(kept.values()),
        "kept": _share(kept),
        "twins": sum(total.values()),
        "caught": _share(total),
        "caught_by_kind": {
            kind: {"of": sum(c.values()), "caught": _share(c)} for kind, c in sorted(caught.items())
        },
    }
    print(figures)
    save("grounding", figures, command=COMMAND)


def evidence(texts: list[str], document: str) -> list[ClaimEvidence]:
    """The passages, with their terms."""
    cache = PassageTermsCache(Words())
    passages = [
        Passage(
            chunk_id=str(number), document_id=document, document_name=document, revision="", page=1,
            start=0, end=len(text), text=text, score=1.0, path=RetrievalMode.KEYWORD,
        )
        for number, text in enumerate(texts)
    ]  # fmt: skip
    return [ClaimEvidence(each, cache.of("bench", each, UNKNOWN_PAGE)) for each in passages]


def unaltered(question: str, answer: str, passages: list[ClaimEvidence]) -> bool:
    """Whether the answer comes out as it went in."""
    grounder = Grounder(passages, Words(), question)
    text = grounder.feed(answer) + grounder.finish()
    return "".join(_MARKER.sub("", text).split()) == "".join(answer.split())


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
    parser.add_argument("--show", action="store_true", help="print what was lost and missed")
    main(show=parser.parse_args().show)
