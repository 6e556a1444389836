"""The level is the loss against what is configured, whatever happened on the way."""

from hypothesis import given
from hypothesis import strategies as st

from foliotrace.model import AnswerMode, Level, RetrievalMode
from foliotrace.query.answer.ladder import (
    Configured,
    NextRung,
    Reached,
    after_failure,
    degradation,
)
from foliotrace.query.retrieve.paths import rung_s

REAL_PATHS = (RetrievalMode.MANAGED, RetrievalMode.HYBRID, RetrievalMode.KEYWORD)
orders = st.lists(st.sampled_from(REAL_PATHS), min_size=1, max_size=3, unique=True).map(tuple)
configured = st.builds(Configured, retrieval=orders, generators=st.integers(0, 3))
reasons = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(tuple)


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[Configured, Reached]:
    settings = draw(configured)
    mode = draw(st.sampled_from(list(AnswerMode)))
    generator = None
    if settings.generators and mode in (AnswerMode.GENERATED, AnswerMode.ABSTAINED):
        generator = draw(st.integers(0, settings.generators - 1))
    path = draw(st.sampled_from([*settings.retrieval, RetrievalMode.NONE]))
    reached = Reached(retrieval=path, answer=mode, generator=generator, reasons=draw(reasons))
    return settings, reached


@given(outcomes())
def test_level_0_says_that_nothing_failed_and_the_best_path_answered(
    outcome: tuple[Configured, Reached],
) -> None:
    settings, reached = outcome
    mark = degradation(settings, reached)
    if mark.level is Level.NONE:
        assert not reached.reasons
        assert reached.retrieval is settings.retrieval[0]
        assert reached.answer not in (AnswerMode.STALE, AnswerMode.TEMPLATE)
        assert reached.generator == (0 if settings.generators else None)
    assert (mark.level is Level.NONE) == (mark.reasons == ())


@given(outcomes(), reasons)
def test_a_further_failure_never_lowers_the_level(
    outcome: tuple[Configured, Reached], more: tuple[str, ...]
) -> None:
    settings, reached = outcome
    worse = Reached(
        retrieval=reached.retrieval,
        answer=reached.answer,
        generator=reached.generator,
        reasons=(*reached.reasons, *more),
    )
    assert degradation(settings, worse).level >= degradation(settings, reached).level


@given(outcomes())
def test_stale_is_level_3_and_a_template_level_4(outcome: tuple[Configured, Reached]) -> None:
    settings, reached = outcome
    level = degradation(settings, reached).level
    assert (level is Level.TEMPLATE) == (reached.answer is AnswerMode.TEMPLATE)
    assert (level is Level.STALE) == (reached.answer is AnswerMode.STALE)


def test_an_installation_without_keys_is_level_0_on_quotes_and_keywords() -> None:
    mark = degradation(
        Configured(retrieval=(RetrievalMode.KEYWORD,)),
        Reached(retrieval=RetrievalMode.KEYWORD, answer=AnswerMode.EXTRACTIVE),
    )
    assert (mark.level, mark.reasons) == (Level.NONE, ())


def test_embedding_not_finished_is_level_2() -> None:
    mark = degradation(
        Configured(retrieval=(RetrievalMode.HYBRID, RetrievalMode.KEYWORD)),
        Reached(
            retrieval=RetrievalMode.KEYWORD,
            answer=AnswerMode.EXTRACTIVE,
            reasons=("embedding_pending",),
        ),
    )
    assert (mark.level, mark.reasons) == (Level.LOWER_PATH, ("embedding_pending",))


def test_another_llm_is_asked_after_any_failure_unless_text_has_left() -> None:
    assert after_failure(sent=False, more=True) is NextRung.LLM
    assert after_failure(sent=False, more=False) is NextRung.QUOTES
    assert after_failure(sent=True, more=True) is NextRung.END


@given(st.floats(0, 1e6), st.floats(0.001, 100), st.booleans())
def test_a_path_leaves_time_for_those_behind_it(left_s: float, limit_s: float, lower: bool) -> None:
    allowed_s = rung_s(left_s, limit_s=limit_s, has_lower_rung=lower)
    assert 0 <= allowed_s <= limit_s
    assert allowed_s <= (left_s / 2 if lower else left_s)
