"""A redaction rule that finds people's names with Presidio: `presidio_names:People`.

Needs `presidio-analyzer` and a spaCy pipeline: PRESIDIO_MODEL is its name or its folder.
"""

import os
from collections.abc import Iterator

from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngineProvider

from foliotrace_detect import Find


class People:
    """Names of people, as `<NAME:token>`; one person has one token, however the name is cased."""

    kind = "NAME"

    def __init__(self) -> None:
        model = os.environ.get("PRESIDIO_MODEL", "en_core_web_sm")  # noqa: TID251 - no part of the service
        models = [{"lang_code": "en", "model_name": model}]
        provider = NlpEngineProvider(
            nlp_configuration={"nlp_engine_name": "spacy", "models": models}
        )
        # Named, because without an engine Presidio downloads a model of 400 MB.
        self._analyzer = AnalyzerEngine(nlp_engine=provider.create_engine())

    def finds(self, text: str) -> Iterator[Find]:
        """Names in `text`, in order, none overlapping another."""
        found = self._analyzer.analyze(text, "en", entities=["PERSON"])
        after = 0
        for person in sorted(found, key=lambda each: (each.start, -each.end)):
            if person.start >= after:
                after = person.end
                yield Find(person.start, after, text[person.start : after].lower())
