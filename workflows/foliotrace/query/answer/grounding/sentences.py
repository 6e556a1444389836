"""Checks each sentence of an LLM against the passages, as it streams (`verdicts` has the rules).

Text goes in piece by piece and comes out in whole checked sentences, so that nothing removed has
ever been sent. Under the policy `strict` an unverified sentence is removed, under `mark` it stays
with a mark behind it. JSON and code blocks are checked as a whole and never altered.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from foliotrace.ports import Vocabulary
from foliotrace.query.answer.grounding import polarity
from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.figures import numbers
from foliotrace.query.answer.grounding.language import foreign, markers, structured
from foliotrace.query.answer.grounding.verdicts import ClaimVerdict, judge
from foliotrace.query.answer.prompt import NO_ANSWER
from foliotrace.settings import Grounding

SHARE: Final = 0.2  # the share of a sentence's terms that a passage must hold for its marker
CONNECTIVE_TERMS: Final = 2  # an uncited sentence with so few terms claims nothing
UNVERIFIED_MARK: Final = "[unverified]"

_SENTENCE: Final = re.compile(
    r"[^\n]*?(?<!\b[A-Z])(?<!\b(?:Dr|Mr|vs|St|al|cf))(?<!\b(?:Mrs|Adj|Inc|Ltd|Fig|Sec|etc|U\.S|"
    r"e\.g|i\.e|Mio|Mrd))(?<!\bapprox)"
    r"(?!\.\s+(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|"
    r"Dezember|Quartal)\b)"
    rf"[.!?][\"')*\u201d]*(?:\s*{markers.PATTERN})*[\"')*]*"
    rf"(?=\s+(?!\[|\u3010|\(\d)\S)\s+|[^\n]*\n+"
)
_BLOCK: Final = re.compile(r"\s*(```|\{|\[\s*[\"{\[])")
_FENCED: Final = re.compile(r"\s*```.*?\n```[^\S\n]*(?:\n+|$)", re.DOTALL)
_RULE: Final = re.compile(r"\|?[\s:|-]*-{2,}[\s:|-]*\|?")
_BRACKETS: Final = str.maketrans(dict.fromkeys('{}[]"`', " ") | {":": " "})


@dataclass(slots=True)
class Claims:
    """The terms of the verified claims by source, and how many claims of the others there are."""

    cited: dict[int, set[str]] = field(default_factory=dict)
    derived: int = 0
    unverified: int = 0
    removed: int = 0
    unsupported: list[str] = field(default_factory=list)  # the sentences that did not hold


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence or line: its text without markers, the markers, and the gap behind it."""

    bare: str
    cited: tuple[int, ...]
    gap: str

    @classmethod
    def of(cls, text: str, passages: int) -> "_Piece":
        marked = markers.marked(text, passages)
        return cls(marked.bare, marked.cited, _gap_after(text))

    def then(self, other: "_Piece") -> "_Piece":
        cited = dict.fromkeys(self.cited + other.cited)
        return _Piece(f"{self.bare}{self.gap}{other.bare}", tuple(cited), other.gap)

    @property
    def is_row(self) -> bool:
        return self.bare.startswith("|") and self.bare.count("|") > 1


class Grounder:
    """Checks one answer. `feed` pieces as they come, then `finish`; both return checked text."""

    def __init__(
        self,
        sources: Sequence[ClaimEvidence],
        vocabulary: Vocabulary,
        question: str,
        policy: Grounding = "strict",
    ) -> None:
        self._sources = sources
        self._vocabulary = vocabulary
        self._question = Question(foreign.in_english(question), vocabulary)
        self._policy = policy
        self._waiting = ""
        self._gap = ""
        self._lead: _Piece | None = None  # a Yes or No whose reason comes next
        self._header: list[_Piece] = []  # the head of a table whose first row comes next
        self._columns: list[str] = []  # the headings of that table
        self.claims = Claims()
        self.no_answer = False

    def feed(self, text: str) -> str:
        """The sentences that are complete now, checked."""
        self._waiting += text
        checked = ""
        position = 0
        while end := self._next_end(position):
            checked += self._checked(self._waiting[position:end])
            position = end
        self._waiting = self._waiting[position:]
        return checked

    def finish(self) -> str:
        """The rest, checked."""
        rest, self._waiting = self._waiting, ""
        blocks = [rest] if _BLOCK.match(rest) else rest.splitlines(keepends=True)
        checked = "".join(map(self._checked, blocks))
        return checked + self._without_reason() + self._header_alone()

    def _next_end(self, position: int) -> int | None:
        """Where the next complete sentence, line or block ends; None while it is incomplete."""
        block = _BLOCK.match(self._waiting, position)
        if block is not None:
            fenced = _FENCED.match(self._waiting, position) if block[1] == "```" else None
            return fenced.end() if fenced and fenced.end() < len(self._waiting) else None
        found = _SENTENCE.match(self._waiting, position)
        if found is None or (found.end() == len(self._waiting) and not found.group().strip()):
            return None
        return found.end()

    # --- one piece -------------------------------------------------------------------------

    def _checked(self, text: str) -> str:
        """The gap before the piece and the piece with the markers that hold; or nothing."""
        if _BLOCK.match(text):
            return self._without_reason() + self._block(text)
        piece = _Piece.of(text, len(self._sources))
        if not piece.bare:
            return ""
        if piece.is_row:
            return self._without_reason() + self._row(piece)
        before = self._header_alone()
        yes, rest = polarity.yes_or_no(self._claim(piece.bare).text)
        if yes is not None and not rest and self._lead is None:
            self._lead = piece
            return before
        lead, self._lead = self._lead, None
        if lead is None:
            return before + self._sentence(piece)
        both = lead.then(piece)
        claim = self._claim(both.bare)
        judged = self._verdict(claim, both.cited)
        if judged is not None:
            return before + self._kept(both, claim, judged)
        return before + self._sentence(lead) + self._sentence(piece)

    def _without_reason(self) -> str:
        lead, self._lead = self._lead, None
        return self._sentence(lead) if lead else ""

    def _sentence(self, piece: _Piece) -> str:
        if NO_ANSWER in piece.bare:
            self.no_answer = True
            return ""
        if polarity.is_refusal(piece.bare):
            self.no_answer = True
            return self._out(piece, piece.bare) if self.claims.cited else ""
        claim = self._claim(piece.bare)
        judged = self._verdict(claim, piece.cited) if claim.all_terms else None
        if judged is not None:
            return self._kept(piece, claim, judged)
        few = len(claim.all_terms) <= CONNECTIVE_TERMS and not claim.has_digits
        if not piece.cited and few and claim.answer[0] is None and not claim.names:
            said = self.claims.cited or self.claims.unverified
            return self._out(piece, piece.bare) if said else ""
        return self._unverified(piece)

    def _kept(self, piece: _Piece, claim: Claim, judged: tuple[ClaimVerdict, list[int]]) -> str:
        self._count(judged, claim.all_terms, piece.cited)
        return self._out(piece, _with_marks(piece.bare, [f"[{n}]" for n in judged[1]]))

    def _count(
        self, judged: tuple[ClaimVerdict, list[int]], terms: frozenset[str], cited: Sequence[int]
    ) -> None:
        verdict, verified = judged
        self.claims.derived += verdict is ClaimVerdict.DERIVED
        self.claims.removed += len(set(cited) - set(verified))
        for marker in verified:
            self.claims.cited.setdefault(marker, set()).update(terms)

    def _unverified(self, piece: _Piece) -> str:
        self.claims.unsupported.append(piece.bare)
        if self._policy == "strict":
            self.claims.removed += 1
            return ""
        self.claims.unverified += 1
        return self._out(piece, _with_marks(piece.bare, [UNVERIFIED_MARK]))

    def _out(self, piece: _Piece, text: str) -> str:
        gap, self._gap = self._gap, piece.gap
        return gap + text

    # --- tables and blocks -----------------------------------------------------------------

    def _row(self, piece: _Piece) -> str:
        """A table's row; its header and rule wait for the first row that holds."""
        if _RULE.fullmatch(piece.bare) and self._header:
            self._header.append(piece)
            return ""
        if not self._header:
            self._header = [piece]
            return ""
        if len(self._header) == 1:  # no rule: a table without a header
            first, self._header = self._header[0], [piece, piece]
            return self._sentence(first) + self._sentence(piece)
        if self._header[0] is not self._header[-1]:
            self._columns = structured.cells_of(self._header[0].bare)
        claims = structured.of_row(piece.bare, self._columns)
        judged = self._together(piece, claims) if claims else self._sentence(piece)
        if not judged or self._header[0] is self._header[-1]:
            return judged
        header, rule = self._header
        self._header = [rule, rule]
        gap = judged[: len(judged) - len(judged.lstrip())]
        return f"{gap}{header.bare}{header.gap}{rule.bare}{rule.gap}{judged.lstrip()}"

    def _header_alone(self) -> str:
        header, self._header = self._header, []
        return self._sentence(header[0]) if len(header) == 1 else ""

    def _block(self, text: str) -> str:
        """JSON or code, as it is, if it holds as a whole."""
        bare = text.strip()
        claims = structured.of_json(markers.without_markers(bare))
        if claims is not None:
            return self._together(_Piece(bare, (), _gap_after(text)), claims)
        content = markers.without_markers(re.sub(r"^```\w*", "", bare)).translate(_BRACKETS)
        content = " ".join(content.split())
        claim = Claim(content, self._vocabulary, content)
        judged = self._verdict(claim, ())
        piece = _Piece(bare, (), _gap_after(text))
        if judged is None:
            return self._unverified(piece)
        self._count(judged, claim.all_terms, ())
        return self._out(piece, bare)

    def _together(self, piece: _Piece, claims: Sequence[str]) -> str:
        """The piece as it is, if each of its claims holds."""
        each = [self._claim(text) for text in claims]
        judged = [self._verdict(claim, piece.cited) for claim in each]
        if any(one is None for one in judged):
            return self._unverified(piece)
        for claim, one in zip(each, judged, strict=True):
            if one is not None:
                self._count(one, claim.all_terms, ())
        if not piece.is_row:
            return self._out(piece, piece.bare)
        cited = dict.fromkeys(n for one in judged if one is not None for n in one[1])
        return self._out(piece, _with_marks(piece.bare, [f"[{n}]" for n in sorted(cited)]))

    def _claim(self, bare: str) -> Claim:
        original = markers.claimed(bare)
        return Claim(foreign.in_english(original), self._vocabulary, original)

    # --- evidence --------------------------------------------------------------------------

    def _verdict(self, claim: Claim, cited: Sequence[int]) -> tuple[ClaimVerdict, list[int]] | None:
        """The verdict with the markers that it rests on; None for unverified."""
        judged = self._judged(claim, cited)
        as_written = foreign.in_english(claim.original, numbers=False)
        if judged is None and as_written != claim.text:  # in German, but with English numbers
            judged = self._judged(replace(claim, text=as_written), cited)
        return judged

    def _judged(self, claim: Claim, cited: Sequence[int]) -> tuple[ClaimVerdict, list[int]] | None:
        for chosen in self._candidates(claim.all_terms, cited):
            verdict = judge(claim, self._question, [self._sources[n - 1] for n in chosen])
            if verdict is not ClaimVerdict.UNVERIFIED:
                return verdict, self._helping(claim, chosen)
        return None

    def _candidates(self, terms: frozenset[str], cited: Sequence[int]) -> Iterator[list[int]]:
        """What may support a sentence: what it cites, each passage alone, all that share words."""
        known = [n for n in cited if 1 <= n <= len(self._sources)]
        if known:
            yield known
        share = {n: _share(terms, source) for n, source in enumerate(self._sources, 1)}
        order = sorted(share, key=lambda n: -share[n])
        yield from ([n] for n in order if [n] != known)
        several = [n for n in order if share[n] >= SHARE]
        if len(several) > 1:
            yield sorted(several)
        if len(several) < len(order) > 1 and not (known or terms - numbers_in(terms)):
            yield sorted(order)  # a number alone may follow from any of them

    def _helping(self, claim: Claim, chosen: list[int]) -> list[int]:
        """The markers whose passages hold a part of the sentence."""
        if len(chosen) == 1:
            return chosen
        helping = [
            n
            for n in chosen
            if (claim.all_terms and _share(claim.all_terms, self._sources[n - 1]) >= SHARE)
            or any(
                numbers.same(each, held, self._sources[n - 1].facts.scales)
                for each in claim.quantities
                for held in self._sources[n - 1].facts.quantities
            )
        ]
        return helping or chosen


def numbers_in(terms: frozenset[str]) -> frozenset[str]:
    """The terms that hold a digit."""
    return frozenset(term for term in terms if any(map(str.isdigit, term)))


def _share(terms: frozenset[str], source: ClaimEvidence) -> float:
    return len(terms & source.terms.terms) / len(terms) if terms else 1.0


def _with_marks(body: str, marks: Sequence[str]) -> str:
    """The sentence with these marks before its closing punctuation, a row before its last bar."""
    end = len(body)
    while marks and end and body[end - 1] in ".!?|":
        end -= 1
    joined = "".join(marks)
    closing = f" {body[end:]}" if body[end:].startswith("|") else body[end:]
    return f"{body[:end].rstrip()} {joined}{closing}" if marks else body


def _gap_after(sentence: str) -> str:
    """What separates the sentence from the next: its line ends (at most two), or a space."""
    lines = sentence[len(sentence.rstrip()) :].count("\n")
    return "\n" * min(lines, 2) or " "
