"""Dependencies and limits of the query pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from foliotrace.lexicon import load_lexicon
from foliotrace.model import BASE_RELEASE, Answer, Deadline, ExecutionMode, RetrievalMode
from foliotrace.ports import (
    AnswerCache,
    AuditLog,
    Clock,
    CurrentSpan,
    CurrentTrace,
    Embedder,
    HashQuery,
    Identify,
    LibraryReader,
    QuestionVocabulary,
    Reranker,
    Runs,
    StaleAnswers,
    TextGenerator,
)
from foliotrace.query.answer.anchors import PageMaps
from foliotrace.query.answer.cells.figures import FigureFinder
from foliotrace.query.answer.computed.lookup import PageLookup
from foliotrace.query.answer.ladder import Configured
from foliotrace.query.answer.prompt import VERSION as PROMPT_VERSION
from foliotrace.query.answer.quote_finder import QuoteFinder
from foliotrace.query.answer.quoted import QuotedAnswers
from foliotrace.query.answer.quoting.passage_terms import PassageTermsCache
from foliotrace.query.answer.synthesize import Synthesizer
from foliotrace.query.cache.semantic_key import CompiledSynonyms
from foliotrace.query.fair_turns import FairTurns
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.retrieve.rerank import Reranking
from foliotrace.query.subjects.subject_check import SubjectCheck
from foliotrace.route_policy import select
from foliotrace.settings import BudgetSettings, QuerySettings, RunsSettings

if TYPE_CHECKING:
    from foliotrace.query.workflow_events import AskQuestion

LOCAL_MODES: Final = (RetrievalMode.KEYWORD, RetrievalMode.HYBRID)


class SecondService(Protocol):
    """Answers questions instead of the stages here."""

    url: str

    async def answer(self, question: "AskQuestion", deadline: Deadline) -> Answer:
        """Its answer. Raises FoliotraceError."""
        ...


@dataclass(frozen=True, kw_only=True)
class QueryServices:
    """The ports of the query pipeline. `paths` and `generators` are ordered, best first.

    `paths_by_mode` are the orders that a question may choose instead of `paths`; none without
    LlamaCloud. With an `embedder`, the `cache` also answers questions with the same meaning. With
    `subjects`, questions about what the library does not hold are refused.
    """

    library: LibraryReader
    vocabulary: QuestionVocabulary
    paths: Sequence[RetrievalPath]
    audit: AuditLog
    runs: Runs
    clock: Clock
    identify: Identify
    hash_query: HashQuery
    current_trace: CurrentTrace
    generators: Sequence[TextGenerator] = ()
    current_span: CurrentSpan = lambda: None
    cache: AnswerCache | None = None
    embedder: Embedder | None = None
    subjects: SubjectCheck | None = None
    stale: StaleAnswers | None = None
    rerankers: Sequence[Reranker] = ()
    settings: QuerySettings = field(default_factory=QuerySettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    recording: RunsSettings = field(default_factory=RunsSettings)
    turns: FairTurns = field(default_factory=FairTurns)
    code_version: str = "unknown"
    release: str = BASE_RELEASE
    second_service: SecondService | None = None
    paths_by_mode: Mapping[ExecutionMode, Sequence[RetrievalPath]] = field(default_factory=dict)

    def with_mode(self, asked: ExecutionMode | None) -> "QueryServices":
        """The same with the retrieval paths of this mode. Raises PathNotOffered.

        An answer's level is the loss against these paths, and cached answers belong to them.
        """
        paths = select(asked, self.paths, self.paths_by_mode)
        if paths is self.paths:
            return self
        key = tuple(path.mode for path in paths)
        if key not in self._others:
            other = replace(self, paths=paths)
            other.__dict__["synthesizer"] = self.synthesizer  # share its caches
            self._others[key] = other
        return self._others[key]

    @cached_property
    def _others(self) -> "dict[tuple[RetrievalMode, ...], QueryServices]":
        return {}

    @cached_property
    def configured(self) -> Configured:
        """The best that this installation can do."""
        return Configured(
            retrieval=tuple(path.mode for path in self.paths), generators=len(self.generators)
        )

    @cached_property
    def reranking(self) -> Reranking:
        """What is done to the passages of each path."""
        return Reranking(tuple(self.rerankers), self.settings.rerank_candidates)

    @cached_property
    def answered_by(self) -> str:
        """The models, modes and limits of an answer of level 0, as a part of cache keys."""
        models = ",".join(generator.model for generator in self.generators[:1])
        modes = ",".join(path.mode.value for path in self.paths[:1])
        if self.rerankers:
            modes += f"|{self.settings.rerankers}|{self.settings.rerank_candidates}"
        limits = (
            f"{self.settings.max_answer_tokens}|{self.settings.redaction}|{self.settings.grounding}"
            f"|{self.settings.planning}"
        )
        return f"{self.release}|{self.code_version}|{PROMPT_VERSION}|{models}|{modes}|{limits}"

    @cached_property
    def fingerprint(self) -> str:
        """What an answer depends on beside its question and the library, as a short hash."""
        models = [generator.model for generator in self.generators]
        modes = [path.mode.value for path in self.paths]
        if self.second_service is not None:
            modes = [self.second_service.url]
        parts = (PROMPT_VERSION, *models, *modes, self.settings.model_dump_json())
        return sha256("|".join(parts).encode()).hexdigest()[:16]

    @property
    def synonyms(self) -> CompiledSynonyms:
        """The lexicon's synonyms, compiled; other ones after the lexicon was loaded again."""
        groups = load_lexicon(self.settings.lexicon).synonyms
        return _compiled(tuple(group.words for group in groups))

    @cached_property
    def synthesizer(self) -> Synthesizer:
        """The `synthesize` stage with its caches."""
        pages = PageMaps(self.library)
        lexicon = load_lexicon(self.settings.lexicon)
        figures = FigureFinder(self.library, self.vocabulary, lexicon, self._lookup)
        passage_terms = PassageTermsCache(self.vocabulary)
        return Synthesizer(
            generators=tuple(self.generators),
            vocabulary=self.vocabulary,
            pages=pages,
            quoted=QuotedAnswers(
                vocabulary=self.vocabulary,
                pages=pages,
                finder=QuoteFinder(self.vocabulary, pages, passage_terms, figures),
                figures=figures,
                has_generators=bool(self.generators),
            ),
            passage_terms=passage_terms,
            max_tokens=self.settings.max_answer_tokens,
            grounding=self.settings.grounding,
            subjects=self.subjects,
        )

    @property
    def _lookup(self) -> PageLookup:
        """Searches inside a document for the other figures of a computation: locally."""
        own = next((p.retriever for p in self.paths if p.mode in LOCAL_MODES), None)
        return PageLookup(own, self.subjects.identities if self.subjects else None)


@lru_cache(maxsize=4)
def _compiled(groups: tuple[tuple[str, ...], ...]) -> CompiledSynonyms:
    return CompiledSynonyms(groups)
