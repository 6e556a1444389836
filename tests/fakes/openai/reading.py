"""What a prompt holds: its text, its numbered passages and its question."""

import re
from dataclasses import dataclass
from typing import Any

HEADED = re.compile(r"^.*\b(?:passage|source|document|excerpt) \[(\d{1,4})\].*$", re.M | re.I)
END_LINE = re.compile(r"^.*\bend of (?:passages|sources|documents|excerpts)\b.*$", re.M | re.I)
BRACKETED = re.compile(r"^\s*\[(\d{1,4})\][:.]?\s*", re.M)
TAGGED = re.compile(
    r"<(\w+)\b[^>]*?\b(?:id|n|number|index|marker)=[\"']?\[?(\d{1,4})\]?[\"']?[^>]*>(.*?)</\1>",
    re.S,
)
QUESTION_LINE = re.compile(r"^\s*(?:question|query|user question)\s*:\s*(.+?)\s*$", re.I | re.M)
QUESTION_TAG = re.compile(r"<(question|query)>\s*(.*?)\s*</\1>", re.S | re.I)
UNANSWERED = re.compile(r"(?:reply|answer|respond) (?:only )?with [\"'`]?([A-Z][A-Z_]{3,})\b")
NO_ANSWER = "The passages do not answer the question."
ANSWER_LINE = re.compile(r"^\s*answer\s*:?\s*$", re.I | re.M)


@dataclass(frozen=True)
class Passage:
    """One source in the prompt; `number` is 0 for text that has no marker."""

    number: int
    text: str


@dataclass(frozen=True)
class Prompt:
    """A request's messages, read.

    `if_unanswered` is the word that they want when the passages do not answer, or a sentence.
    """

    text: str
    question: str
    passages: tuple[Passage, ...]
    if_unanswered: str


def text_of(message: dict[str, Any]) -> str:
    """A message's text, its parts joined."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)


def read_prompt(messages: list[dict[str, Any]]) -> Prompt:
    """The passages of all messages and the question of the last user message."""
    asked = [text_of(m) for m in messages if m.get("role") == "user"] or [""]
    everything = "\n\n".join(text_of(message) for message in messages)
    question = _question(asked[-1])
    sources = "\n\n".join(text_of(m) for m in messages if m.get("role") != "system")
    passages = _passages(sources) or _passages(everything)
    if not passages:
        rest = sources.replace(question, " ") if question else sources
        passages = [Passage(0, ANSWER_LINE.sub("", QUESTION_LINE.sub("", rest)))]
    asked_for = UNANSWERED.findall(everything)
    return Prompt(everything, question, tuple(passages), (asked_for or [NO_ANSWER])[0])


def _question(text: str) -> str:
    tags = QUESTION_TAG.findall(text)
    if tags:
        return str(tags[-1][1])
    lines = QUESTION_LINE.findall(text)
    if lines:
        return str(lines[-1])
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", text) if p.strip()]
    asking = [p for p in paragraphs if p.endswith("?")]
    return (asking or paragraphs or [""])[-1]


def _passages(text: str) -> list[Passage]:
    tagged = [Passage(int(n), body.strip()) for _, n, body in TAGGED.findall(text)]
    if tagged:
        return tagged
    for noise in (QUESTION_LINE, QUESTION_TAG, ANSWER_LINE, END_LINE):
        text = noise.sub("", text)
    headed = [Passage(n, body) for n, body in marked_sections(HEADED, text)]
    return headed or [Passage(n, body) for n, body in marked_sections(BRACKETED, text)]


def marked_sections(mark: re.Pattern[str], text: str) -> list[tuple[int, str]]:
    """What follows each `mark`, up to the next one, with the mark's number."""
    marks = list(mark.finditer(text))
    ends = [found.start() for found in marks[1:]] + [len(text)]
    return [(int(m.group(1)), text[m.end() : ends[i]].strip()) for i, m in enumerate(marks)]


def sentences(text: str) -> list[str]:
    """Sentences and lines; a line that goes on in small letters or figures is joined."""
    joined = re.sub(r"(?<![.!?:;\n])\n(?=[a-z0-9(])", " ", text)
    parts = re.split(r"(?<=[.!?])\s+|\n+", joined)
    return [part.strip() for part in parts if part.strip()]


STOPWORDS = frozenset(
    re.findall(
        r"\w+",
        """a an and are as at be by did do does for from had has have how in is it its many much of
        on or the to was were what when where which who why will with long this that""",
    )
)


def key_terms(text: str) -> set[str]:
    """Folded content words without a plural s."""
    words = re.findall(r"\w+", text.lower())
    return {w[:-1] if len(w) > 3 and w.endswith("s") else w for w in words if w not in STOPWORDS}


def token_count(text: str) -> int:
    """The fake's tokens: words and marks."""
    return len(re.findall(r"\w+|[^\w\s]", text))
