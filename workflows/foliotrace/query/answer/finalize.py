"""The `ground` stage: redact the synthesised text and mark its degradation level. Pure."""

from dataclasses import replace

from foliotrace.model import Answer, AnswerMode, Usage
from foliotrace.query.answer import ladder
from foliotrace.query.answer.redaction import redact
from foliotrace.query.answer.synthesize import Synthesis
from foliotrace.query.retrieve.paths import Retrieval
from foliotrace.settings import RedactionSettings


def finalize(
    synthesis: Synthesis,
    retrieval: Retrieval,
    *,
    configured: ladder.Configured,
    redaction: RedactionSettings,
    usage: Usage,
) -> tuple[Answer, int]:
    """The answer with its mark, and how many personal numbers were redacted from it.

    `usage` is what the question has spent.
    """
    text = redact(synthesis.text, redaction)
    quotes = [redact(citation.quote, redaction) for citation in synthesis.citations]
    reached = ladder.Reached(
        retrieval=retrieval.mode,
        answer=synthesis.mode,
        generator=synthesis.generator,
        reasons=(*(error.reason for error in retrieval.failures), *synthesis.reasons),
    )
    unanswered = synthesis.mode is AnswerMode.TEMPLATE
    content = synthesis.content()
    content["citations"] = tuple(
        replace(citation, quote=quote.text) if quote.redacted else citation
        for citation, quote in zip(synthesis.citations, quotes, strict=True)
    )
    answer = Answer(
        **content,
        text=text.text,
        degradation=ladder.degradation(configured, reached),
        usage=usage if usage.llm_calls else synthesis.usage.plus(usage),
        origin=synthesis.origin,
        retry_after_s=ladder.retry_after_s(retrieval.failures) if unanswered else None,
    )
    return answer, text.redacted + sum(quote.redacted for quote in quotes)
