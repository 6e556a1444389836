"""What a sentence affirms or denies: yes and no, negations, directions, refusals. Pure."""

import re
from collections.abc import Set as AbstractSet
from typing import Final, Literal

Direction = Literal["up", "down"]

UP: Final = (
    r"increas\w*|r(?:i|o)se\b|risen|rising|gr[eo]w\w*|growth|improv\w*|higher|gain(?:s|ed)?|jump\w*|"
    r"expan\w+|positive|climb\w*|better|rais\w+|surg\w+|"
    r"soar\w*|widen\w*|doubl\w+|up(?= (?:by )?(?:about )?[$\u20ac\u00a3]?\d)"
)
DOWN: Final = (
    r"decreas\w*|declin\w*|fall(?:s|ing|en)?|fell|drop\w*|reduc\w*|lower(?:ed)?|shr[aiu]nk\w*|"
    r"contract(?:ed|ion|ing)|negative|worse\w*|deteriorat\w*|slip\w*|dip(?:s|ped)?|tumbl\w+|slump\w*|narrow(?:s|ed|ing)|"
    r"down(?= (?:by )?(?:about )?[$\u20ac\u00a3]?\d)"
)
NEGATIONS: Final = (
    r"not|never|no longer|neither|nor|cannot|without|none|nobody|nothing|out of (?:service|order|"
    r"stock|use)|"
    r"(?:is|are|was|were|do|does|did|has|have|had|ca|wo|could|should|would)n['\u2019]t"
)
_SOURCES: Final = r"(?:passages?|documents?|context|texts?|sources?|excerpts?|materials?)"
_NAMED_SOURCES: Final = r"(?:abstract|report|filing|letter|handbook|manual|article|page|table)"
REFUSALS: Final = (
    r"(?:passages?|documents?|context|texts?|sources?|excerpts?|information|materials?)\b[^.!?\n]{0,60}"
    r"\b(?:do|does|did|is|are)(?: not|n['\u2019]t)\b[^.!?\n]{0,30}"
    r"\b(?:contain|mention|provide|include|specify|state|say|hold|answer|address|give|discuss|cover|"
    r"indicate|disclose|available|enough|sufficient|reveal|show|tell|list|have)\w*",
    r"\b(?:not|never|n['\u2019]t)\b (?:\w+ ){0,2}(?:mentioned|found|provided|specified|stated|"
    r"available|included|contained|given|answered|present|disclosed|addressed|covered)\b"
    r"[^.!?\n]{0,30}\b(?:passages?|documents?|context|texts?|sources?|excerpts?)",
    r"(?:^\W*|\b(?:i|we)\b(?: \w+){0,3} ?"
    r"|\b(?:it|this|that|question|answer|information)\b(?: \w+){0,3} )"
    r"(?:cannot|can['\u2019]t|can not|unable to|could not|couldn['\u2019]t|not able to)\b "
    r"(?:be )?(?:answer|determin|find|say|tell|provide|locate|give|identif)\w*",
    r"\b(?:there is|there['\u2019]s|i (?:have|found|see|find)|contains?|provides?|offers?) no "
    r"(?:\w+ )?(?:information|mention|answer|data|details?|evidence)\b",
    r"^\W*(?:no|insufficient|not enough) (?:\w+ )?(?:information|answer|data|details?)\b[^.]{0,60}"
    r"(?:found|available|provided|given|passages?|documents?|context)",
    r"\bi(?: do not|['\u2019]m not sure| don['\u2019]t) know\b|\bi don['\u2019]t know\b",
    r"(?:passages?|documents?|context|texts?|sources?)\b[^.!?\n]{0,20}"
    r"\b(?:lacks?|is silent|are silent)",
    r"\b(?:passagen?|dokumente?|texte?)\b[^.!?\n]{0,60}\b(?:nicht|keine?n?)\b",
    r"\b(?:passages?|documents?)\b[^.!?\n]{0,20}\bne\b[^.!?\n]{0,40}\bpas\b",
    r"\b(?:pasajes?|documentos?|textos?)\b[^.!?\n]{0,10}"
    r"\bno (?:contien|mencion|indic|proporcion)\w*",
    rf"{_SOURCES}\b[^.!?\n]{{0,40}}\b(?:gives?|makes?|contains?|provides?|offers?|says?|holds?|"
    r"mentions?|includes?|states?|shows?|have|has) (?:no|nothing|neither)\b",
    r"\b(?:nothing|none|neither|no)\b(?: (?:in|of))?(?: (?:the|these|those))?(?: \w+)? "
    rf"{_SOURCES}\b[^.!?\n]{{0,40}}\b(?:mention|address|state|say|answer|contain|give|provide|discuss|cover|indicat|"
    r"disclos|hold)\w*",
    r"(?:\bnot|n['\u2019]t) (?:in|among|part of|within) (?:the |these |any )(?:\w+ )?"
    rf"{_SOURCES}\b",
    r"(?:\bnot|n['\u2019]t) possible to (?:answer|determine|say|tell|give)\b",
    r"(?:\bnot|n['\u2019]t) (?:enough|sufficient|any) (?:\w+ )?"
    r"(?:information|data|details?|context)\b",
    rf"{_SOURCES}\b (?:is|are) (?:insufficient|too limited|silent)|{_SOURCES}\b only "
    r"(?:discuss|mention|cover|describe|contain|address|concern)\w*",
    rf"\b(?:missing|absent) from (?:the |these )?(?:\w+ )?{_SOURCES}\b",
    rf"\b(?:outside|beyond) (?:the )?(?:scope of )?(?:the )?(?:\w+ )?{_SOURCES}\b",
    rf"\b(?:the|this) {_NAMED_SOURCES}\b(?: itself)? (?:does|do|did)(?: not|n['\u2019]t)\b "
    r"(?:\w+ )?(?:report|say|state|mention|specify|disclose|address|discuss|tell|give|indicate|"
    r"answer)\b(?! (?:a|an|any) (?:\w+ )?(?:increase|decrease|change))",
    r"^\W*not (?:stated|specified|mentioned|found|disclosed|provided|given|covered)\W*$",
)
"""How a model says in its own words that the passages do not hold the answer."""

_UP: Final = re.compile(rf"\b(?:{UP})\b", re.IGNORECASE)
_DOWN: Final = re.compile(rf"\b(?:{DOWN})\b", re.IGNORECASE)
_FLAT: Final = re.compile(r"\b(?:flat|unchanged|stable|consistent\w*)\b", re.IGNORECASE)
_NEGATION: Final = re.compile(rf"\b(?:{NEGATIONS})\b|\bno\b(?!\.)", re.IGNORECASE)
_DENIES: Final = re.compile(
    rf"{_NEGATION.pattern}|\b(?:exclud\w*|except|other than|unable|disabl\w*|waiv\w*)\b",
    re.IGNORECASE,
)
_REFUSAL: Final = re.compile("|".join(f"(?:{r})" for r in REFUSALS), re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")
_REFUSING: Final = "no never neither none t ne only missing absent outside beyond"
_REFUSING_PARTS: Final = (
    "not",
    "nicht",
    "kein",
    "unable",
    "lack",
    "silent",
    "insufficient",
    "limited",
)
_REFUSING_WORDS: Final = frozenset(_REFUSING.split())
"""Each of REFUSALS needs one of these words or parts of words; few other sentences hold one."""
_TURN: Final = re.compile(r"\b(?:but|however|although|though|yet|instead)\b", re.IGNORECASE)
_LEAD: Final = re.compile(
    r"\W*(yes|no|not(?= (?:in|for|at|during|as of) [^:,.]{1,30}:)|"
    r"not (?:quite|entirely|really|exactly)|none(?=\s*[,;:\u2013\u2014]))\b"
    r"(?=\s*(?:[.,:;!\u2013\u2014-]|$)|(?<=\bnot) (?:in|for|at|during|as of) )\W*",
    re.IGNORECASE,
)
_ASKED: Final = re.compile(r"[^?]*\?")
_FROM_TO: Final = re.compile(
    r"\bfrom\b\s+(?:\w+\s+){0,3}?[~$€£(]*\s?(-?\d[\d,]*(?:\.\d+)?)[^.;]{0,60}?\bto\b\s+(?:\w+\s+){0,3}?"
    r"[~$€£(]*\s?(-?\d[\d,]*(?:\.\d+)?)",
    re.IGNORECASE,
)


OPPOSITES: Final = (
    ("strength", "weakness"), ("strong", "weak"), ("stronger", "weaker"),
    ("unchanged", "different"), ("same", "different"), ("profit", "loss"), ("gain", "loss"),
    ("benefit", "expense"), ("included", "excluded"), ("including", "excluding"),
    ("permitted", "prohibited"), ("allowed", "forbidden"), ("required", "optional"),
    ("open", "closed"), ("before", "after"), ("minimum", "maximum"), ("least", "most"),
    ("favorable", "unfavorable"), ("sufficient", "insufficient"), ("probable", "improbable"),
    ("inflow", "outflow"), ("early", "late"), ("accept", "reject"), ("accepted", "rejected"),
    ("approved", "denied"), ("granted", "denied"), ("won", "lost"), ("above", "below"),
    ("narrowed", "widened"), ("narrower", "wider"), ("voluntarily", "involuntarily"),
    ("internal", "external"), ("inside", "outside"), ("domestic", "foreign"),
    ("buy", "sell"), ("bought", "sold"), ("permanent", "temporary"),
    ("public", "private"), ("proprietary", "open"),
    ("lender", "borrower"), ("landlord", "tenant"), ("mandatory", "voluntary"),
)  # fmt: skip
_UNIT: Final = r"(?:%|[ ](?:thousand|million|billion|percent|[A-Z]{3})\b)?"
_TO_FROM: Final = re.compile(
    rf"\bto\b [~$\u20ac\u00a3]?(?P<new>\d[\d,]*(?:\.\d+)?)(?P<unit>{_UNIT})"
    r"(?:[^.;\d]{0,40}(?:(?:19|20)\d\d)?[^.;\d]{0,12})"
    r"\bfrom\b (?:about |around |roughly )?[~$\u20ac\u00a3]?(?P<old>\d[\d,]*(?:\.\d+)?)(?P=unit)",
    re.IGNORECASE,
)
CONTRARY_ANSWERS: Final = (
    ("profit", "loss"), ("profit", "lost"), ("generate", "consumed"), ("generate", "used"),
    ("earn", "lost"), ("provided", "consumed"), ("pay", "benefit"),
    ("paid", "benefit"), ("expense", "benefit"),
    ("gain", "loss"), ("open", "closed"), ("allowed", "prohibited"), ("allowed", "forbidden"),
    ("permitted", "prohibited"), ("required", "optional"), ("above", "below"),
    ("before", "after"), ("same", "different"), ("include", "excluded"), ("all", "only"),
    ("hold", "only"), ("have", "only"), ("cover", "short"), ("exceed", "short"),
    ("included", "excluded"), ("granted", "denied"), ("income", "loss"), ("positive", "loss"),
    ("higher", "lower"), ("up", "down"),
)  # fmt: skip
"""Words of a question, and words of an explanation that goes with a No."""
_CHANGED_BY: Final = re.compile(
    rf"(?:\bby|\b(?:{UP}|{DOWN})|(?<!made )(?<!make )(?<!makes )\bup|\bdown)\s*(?:by |of )?"
    r"(?:about |approximately |around |roughly |almost |nearly |some |~)?[$\u20ac\u00a3]?$",
    re.IGNORECASE,
)
_ANY_NIL: Final = re.compile(r"\t\s*\$?\s*[-\u2013\u2014](?=\t|\s|$)")
_NIL: Final = re.compile(r"^[^\t\d]+\t\s*\$?\s*[-\u2013\u2014](?=\t|\s|$)")
PREFIXES: Final = ("non", "un", "in", "im", "dis", "ir")
SHORTEST_STEM: Final = 4
_STEADY: Final = re.compile(r"\b(?:consistent|stable|flat|constant)\b", re.IGNORECASE)
_BOUND: Final = re.compile(
    r"\b(?:(?P<above>above|over|more than|at least|greater than|higher than|exceed\w*)"
    r"|below|under|less than|lower than|at most)\s+[$\u20ac\u00a3]?"
    r"(?P<limit>\d[\d,]*(?:\.\d+)?)\s?(?P<percent>%|percent)?",
    re.IGNORECASE,
)
_FIGURE: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")
_CAPITAL: Final = re.compile(r"\b[A-Z]")
_ASIDE: Final = re.compile(r"[,;] (?:while|whereas|but|although|though)\b", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[a-z]+")


def is_refusal(sentence: str) -> bool:
    """Whether the sentence says that the passages do not hold the answer, and no more."""
    lower = sentence.casefold()
    words = map(str.casefold, _WORD.findall(sentence))  # folding the sentence can join words
    if _REFUSING_WORDS.isdisjoint(words) and not any(part in lower for part in _REFUSING_PARTS):
        return False
    found = _REFUSAL.search(sentence)
    if found is None:
        return False
    turn = _TURN.search(sentence, found.end())
    return turn is None


def yes_or_no(sentence: str) -> tuple[bool | None, str]:
    """The Yes (True) or No that the sentence begins with, and what follows it."""
    found = _LEAD.match(sentence)
    if found is None:
        return None, sentence
    return found[1].casefold() == "yes", sentence[found.end() :]


def negated(text: str) -> bool:
    """Whether the text holds an odd number of negations."""
    return len(_NEGATION.findall(text)) % 2 == 1


def denies_anything(text: str) -> bool:
    """Whether the text holds any negation, or a dash in place of a number."""
    return _DENIES.search(text) is not None or _ANY_NIL.search(text) is not None


def is_nil(row: str) -> bool:
    """Whether the first number of a table's row is a dash."""
    return _NIL.search(row) is not None


def direction(text: str) -> Direction | None:
    """Where the text says that something went; None for neither, or for both."""
    if _FLAT.search(text):
        return None
    up, down = bool(_UP.search(text)), bool(_DOWN.search(text))
    return None if up == down else "up" if up else "down"


def asked_first(question: str) -> str:
    """The question up to its first question mark, without instructions behind it."""
    found = _ASKED.match(question)
    return found.group() if found else question


def is_change(before: str) -> bool:
    """Whether the words right before a number make it a change: "rose by", "grew"."""
    return _CHANGED_BY.search(before) is not None


def last_direction(text: str) -> Direction | None:
    """The direction that the last such word of the text says."""
    ups, downs = (max((m.end() for m in r.finditer(text)), default=0) for r in (_UP, _DOWN))
    return None if ups == downs else "up" if ups > downs else "down"


def has_direction(text: str, wanted: Direction) -> bool:
    """Whether the text says that anything went this way."""
    return bool((_UP if wanted == "up" else _DOWN).search(text))


def stated_change(sentence: str) -> Direction | None:
    """The way that "from 982 to 969" goes; None without such words, or between equals."""
    found = _FROM_TO.search(sentence)
    if found is None:
        return _change_to(sentence)
    before, after = (float(n.replace(",", "")) for n in found.groups())
    years = 1900 <= before <= 2100 and 1900 <= after <= 2100
    return None if before == after or years else "up" if after > before else "down"


def _change_to(sentence: str) -> Direction | None:
    """The way that "to 969 in 2024 from 982", or "969, down from 982", goes."""
    found = _TO_FROM.search(sentence)
    if found is None:
        return None
    after, before = (float(n.replace(",", "")) for n in (found["new"], found["old"]))
    if before == after or any(1900 <= n <= 2100 for n in (before, after)):
        return None
    return "up" if after > before else "down"


def agrees(yes: bool, question: str, rest: str) -> bool:
    """Whether a Yes or No goes with the sentence that explains it."""
    question = asked_first(question)
    bound = _bound_met(question, rest)
    if bound is not None:
        return yes == bound
    asked, said = direction(question), direction(rest)
    if asked and said:
        return yes == ((asked == said) != negated(rest))
    if _STEADY.search(question) and not negated(rest):
        return True
    if not yes and (_turned(question, rest) or _says_another_thing(question, rest)):
        return True
    rest = _ASIDE.split(rest, maxsplit=1)[0]
    return yes != (negated(rest) != negated(question))


def _says_another_thing(question: str, rest: str) -> bool:
    """Whether the explanation has no word of the question, and no name: "No, it is an asset"."""
    if _NEGATION.search(rest) or direction(rest) or _CAPITAL.search(rest, 1):
        return False
    asked = {word[:5] for word in _PLAIN.findall(question.casefold()) if len(word) > SHORTEST_STEM}
    said = {word[:5] for word in _PLAIN.findall(rest.casefold()) if len(word) > SHORTEST_STEM}
    return bool(said) and not asked & said


def _bound_met(question: str, rest: str) -> bool | None:
    """Whether the number of the explanation is on the side of the bound that was asked about."""
    bound = _BOUND.search(question)
    found = _FIGURE.search(rest)
    if bound is None or found is None:
        return None
    limit, value = (float(n.replace(",", "")) for n in (bound["limit"], found.group()))
    if value == limit or (bound["percent"] is None) != ("%" not in rest) or 1900 <= value <= 2100:
        return None
    return value > limit if bound["above"] else value < limit


def contrary_words(one: AbstractSet[str], other: AbstractSet[str]) -> bool:
    """Whether one text has a word that the other has with "non", "un" or the like before it."""
    return any(
        f"{prefix}{word}" in there and word not in there
        for here, there in ((one, other), (other, one))
        for word in here
        if len(word) > SHORTEST_STEM
        for prefix in PREFIXES
    )


def _turned(question: str, rest: str) -> bool:
    """Whether the explanation has the contrary of a word of the question."""
    asked, said = (set(_PLAIN.findall(text.casefold())) for text in (question, rest))
    return contrary_words(asked, said) or any(
        (one in asked and other in said) or (other in asked and one in said)
        for one, other in CONTRARY_ANSWERS
    )
