"""The loop's `Grounding` by the rules that check the service's own answers."""

from collections.abc import Sequence
from typing import Final

from foliotrace.adapters.local.keyword.analysis import PlainVocabulary
from foliotrace.model import Passage, RetrievalMode
from foliotrace.query.answer.anchors import UNKNOWN_PAGE
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.sentences import Grounder
from foliotrace.query.answer.quoting.passage_terms import PassageTermsCache

_TENANT: Final = "evaluation"


class AnswerGrounding:
    """Checks sentence by sentence, as answers of language models are checked before they leave."""

    async def unsupported(self, question: str, answer: str, quotes: Sequence[str]) -> Sequence[str]:
        """The sentences that the quotes do not support. What stands in a quote as it is, is."""
        held = [_plain(quote) for quote in quotes]
        rest = "\n".join(
            line for line in answer.splitlines() if not any(_plain(line) in each for each in held)
        )
        vocabulary = PlainVocabulary()
        cache = PassageTermsCache(vocabulary)
        passages = [_passage(number, quote) for number, quote in enumerate(quotes)]
        evidence = [ClaimEvidence(each, cache.of(_TENANT, each, UNKNOWN_PAGE)) for each in passages]
        grounder = Grounder(evidence, vocabulary, question)
        grounder.feed(rest)
        grounder.finish()
        return grounder.claims.unsupported


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _passage(number: int, quote: str) -> Passage:
    return Passage(
        chunk_id=str(number),
        document_id=str(number),
        document_name="",
        revision="",
        page=1,
        start=0,
        end=len(quote),
        text=quote,
        score=1.0,
        path=RetrievalMode.KEYWORD,
    )
