"""German, French and Spanish wording in English terms, as far as grounding compares it. Pure.

Numbers, dates, units, negations, directions and yes or no are rewritten; other words stay as they
are. Both an answer and a passage may be rewritten, so each may be in another language.
"""

import re
from typing import Final, Literal

from foliotrace.text_caches import text_cache

Language = Literal["de", "fr", "es"]

_ENGLISH: Final = (
    "the of and is are was were in to for with by on at from that this it its has have had be been "
    "or an as not which their they will may must than"
)
_COMMON: Final[dict[Language, str]] = {
    "de": "der die das den dem des ein eine einer einem einen und ist sind war waren wird werden "
    "mit von zu zur zum im am auf für bei nach nicht auch sich hat haben oder als an aus dass wie "
    "insgesamt betrug beträgt beläuft liegt lag etwa rund gegenüber kein keine seit bis pro muss",
    "fr": "le la les des du une et est sont était ont avec dans pour par sur au aux en que qui ne "
    "pas ce cette ces selon être il elle soit contre depuis plus jusqu entre millions ils elles "
    "s l d a été un de à",
    "es": "el la los las del una y es son fue con por para que se no su al lo como más cada años "
    "desde entre según en un de hay fueron tiene ha hasta cuesta sale",
}
_WORDS: Final = re.compile(r"[^\W\d_]+")
_LETTER: Final = re.compile(r"[äöüßéèêàçñáíóúœ]", re.IGNORECASE)

_EVERYWHERE: Final = (
    (r"Mio\.?(?!\w)|Millionen|millones|millions de|millones de", "million"),
    (r"Mrd\.?(?!\w)|Milliarden|milliards?(?: de)?|miles de millones(?: de)?|mil millones(?: de)?",
     "billion"),
    (r"Tsd\.?(?!\w)|Tausend|milliers(?: de)?|miles(?: de)?", "thousand"),
    (r"Prozentpunkten?|points de pourcentage|puntos porcentuales", "percentage points"),
    (r"Prozent|pour cent|por ciento", "percent"),
    (r"(?:ein|un) (?:Jahr|an|año) (?:zuvor|früher|plus tôt|auparavant|antes)|im Vorjahr|"
     r"l['\u2019]année précédente|el año anterior", "a year earlier"),
    (r"US-Dollar|dollars américains|dólares(?: estadounidenses)?", "dollars"),
)  # fmt: skip
_LEXICON: Final[dict[Language, tuple[tuple[str, str], ...]]] = {
    "de": (
        (r"ja", "yes"), (r"nein", "no"), (r"nicht mehr", "no longer"), (r"nicht", "not"),
        (r"keine?[nmrs]?", "no"), (r"niemals|nie", "never"), (r"ohne", "without"),
        (r"mehr als|über(?= \d)", "more than"), (r"weniger als|unter(?= \d)", "less than"),
        (r"mindestens", "at least"), (r"höchstens|maximal", "at most"),
        (r"rund|etwa|circa|ca\.?|ungefähr", "about"), (r"insgesamt", "total"),
        (r"stieg(?:en)?|gestiegen|erhöht(?:e|en)?|zugenommen|wuchs(?:en)?|gewachsen", "rose"),
        (r"sank(?:en)?|gesunken|fiel(?:en)?|gefallen|zurückgegangen|verringert(?:e|en)?", "fell"),
        (r"Jahre?[ns]?", "years"), (r"Monat(?:e[ns]?|s)?", "months"), (r"Woche[n]?", "weeks"),
        (r"Tag(?:e[ns]?|s)?", "days"), (r"Stunden?", "hours"), (r"Minuten?", "minutes"),
        (r"Werktag\w*", "working day"), (r"Quartals?", "quarter"), (r"Jahreshälfte|Halbjahr\w*",
         "half of the year"), (r"Umsatz(?:es|erlöse)?|Umsätze", "revenue"),
        (r"Gewinn\w*", "profit"), (r"zwei", "two"), (r"drei", "three"),
        (r"vier", "four"), (r"fünf", "five"),
        (r"sechs", "six"), (r"sieben", "seven"), (r"acht", "eight"), (r"neun", "nine"),
        (r"zehn", "ten"), (r"zwölf", "twelve"), (r"erste[nrsm]?", "first"),
        (r"zweite[nrsm]?", "second"), (r"dritte[nrsm]?", "third"), (r"vierte[nrsm]?", "fourth"),
        (r"Euro", "EUR"), (r"am|im|der|die|das|den|dem", ""),
        (r"Januar", "January"), (r"Februar", "February"), (r"März", "March"), (r"Mai", "May"),
        (r"Juni", "June"), (r"Juli", "July"), (r"Oktober", "October"), (r"Dezember", "December"),
    ),
    "fr": (
        (r"oui", "yes"), (r"non(?=[\s,.:;!])", "no"), (r"n['\u2019](?=\w)|ne", ""),
        (r"plus du tout", "no longer"), (r"pas", "not"), (r"aucune?", "no"), (r"jamais", "never"),
        (r"sans", "without"), (r"plus de", "more than"), (r"moins de", "less than"),
        (r"au moins", "at least"), (r"au plus|au maximum", "at most"),
        (r"environ|près de", "about"), (r"au total", "total"),
        (r"augment(?:é|ée|és|ait|ation)|a crû|progressé|hausse", "rose"),
        (r"diminu(?:é|ée|és|ait|tion)|baiss(?:é|ée|és|e)|reculé|chuté", "fell"),
        (r"ans?|années?", "years"), (r"mois", "months"), (r"semaines?", "weeks"),
        (r"jours?", "days"), (r"heures?", "hours"), (r"trimestres?", "quarter"),
        (r"semestres?", "half of the year"), (r"chiffre d['\u2019]affaires", "revenue"),
        (r"bénéfices?", "profit"), (r"deux", "two"), (r"trois", "three"), (r"quatre", "four"),
        (r"cinq", "five"), (r"sept", "seven"), (r"huit", "eight"), (r"neuf", "nine"),
        (r"dix", "ten"), (r"douze", "twelve"), (r"premi(?:er|ère)", "first"),
        (r"deuxième|seconde?", "second"), (r"troisième", "third"), (r"quatrième", "fourth"),
        (r"euros?", "EUR"), (r"1er", "1"), (r"lundis?", "Monday"), (r"mardis?", "Tuesday"),
        (r"mercredis?", "Wednesday"), (r"jeudis?", "Thursday"), (r"vendredis?", "Friday"),
        (r"samedis?", "Saturday"), (r"dimanches?", "Sunday"), (r"gratuite?s?", "free"),
        (r"ouverte?s?", "open"), (r"fermée?s?", "closed"), (r"visiteurs", "visitors"),
        (r"janvier", "January"), (r"février", "February"), (r"mars", "March"), (r"avril", "April"),
        (r"mai", "May"), (r"juin", "June"), (r"juillet", "July"), (r"août", "August"),
        (r"septembre", "September"), (r"octobre", "October"), (r"novembre", "November"),
        (r"décembre", "December"),
    ),
    "es": (
        (r"sí", "yes"), (r"nunca", "never"), (r"sin", "without"), (r"ning[uú]n[oa]?", "no"),
        (r"más de", "more than"), (r"menos de", "less than"), (r"al menos", "at least"),
        (r"como máximo", "at most"), (r"aproximadamente|unos|unas|cerca de", "about"),
        (r"en total", "total"), (r"aument(?:ó|aron|ado)|creci(?:ó|eron|do)|subi(?:ó|eron)", "rose"),
        (r"disminuy(?:ó|eron)|cay(?:ó|eron)|baj(?:ó|aron)|reduj\w+", "fell"),
        (r"años?", "years"), (r"mes(?:es)?", "months"), (r"semanas?", "weeks"), (r"días?", "days"),
        (r"horas?", "hours"), (r"minutos?", "minutes"), (r"trimestres?", "quarter"),
        (r"semestres?", "half of the year"), (r"ingresos", "revenue"), (r"beneficios?", "profit"),
        (r"dos", "two"), (r"tres", "three"), (r"cuatro", "four"), (r"cinco", "five"),
        (r"seis", "six"), (r"siete", "seven"), (r"ocho", "eight"), (r"nueve", "nine"),
        (r"diez", "ten"), (r"doce", "twelve"), (r"veinte", "twenty"), (r"treinta", "thirty"),
        (r"cuarenta", "forty"), (r"cincuenta", "fifty"), (r"primer[oa]?s?", "first"),
        (r"segund[oa]", "second"), (r"tercer[oa]?", "third"), (r"cuart[oa]", "fourth"),
        (r"euros?", "EUR"), (r"lunes", "Monday"), (r"martes", "Tuesday"),
        (r"miércoles", "Wednesday"), (r"jueves", "Thursday"), (r"viernes", "Friday"),
        (r"sábados?", "Saturday"), (r"domingos?", "Sunday"), (r"autobús|autobuses", "bus"),
        (r"tarjeta", "card"), (r"billete", "ticket"), (r"últim[oa]", "last"),
        (r"de(?= \w+ de \d{4})|de(?= (?:19|20)\d\d)"
         r"|de(?= (?:ene|feb|mar|abr|may|jun|jul|ago|sep|oct|nov|dic)\w+)", ""),
        (r"enero", "January"), (r"febrero", "February"), (r"marzo", "March"), (r"abril", "April"),
        (r"mayo", "May"), (r"junio", "June"), (r"julio", "July"), (r"agosto", "August"),
        (r"septiembre", "September"), (r"octubre", "October"), (r"noviembre", "November"),
        (r"diciembre", "December"),
    ),
}  # fmt: skip
_DATE: Final = re.compile(r"\b(\d\d?)\.\s?(\d\d?)\.\s?((?:19|20)\d\d)\b")
_DAY: Final = re.compile(r"\b(\d\d?)\.(?=\s[^\W\d_]{3})")
_NUMBER: Final = re.compile(
    r"(?<![\w.,])(?P<whole>\d{1,3}(?:[ \u00a0\u202f.]\d{3})+|\d+)"
    r"(?P<part>,(?:\d{1,2}|\d{4,}|\d{3}(?=\s?(?:%|[mM]il|Mio|Mrd))))?(?![\d,]|\.\d)"
)


@text_cache(2048)
def language_of(text: str) -> Language | None:
    """The language of a text by its most common words; None for English and for no words."""
    words = _WORDS.findall(text[:2000].casefold())
    hits = {name: sum(map(known.__contains__, words)) for name, known in _KNOWN.items()}
    best = max(hits, key=lambda name: hits[name])
    english = sum(map(_KNOWN_ENGLISH.__contains__, words))
    if hits[best] <= english or hits[best] < (1 if _LETTER.search(text) else 2):
        return None
    return best


@text_cache(2048)
def in_english(text: str, *, numbers: bool = True) -> str:
    """The text with the numbers, dates and small words of its language in English.

    `numbers` as they are written in that language; otherwise they stay.
    """
    language = language_of(text)
    if language is None:
        return text
    text = _DAY.sub(r"\1", _DATE.sub(r"\1/\2/\3", text))
    if numbers:
        text = _NUMBER.sub(_rewritten, text)
    pattern, targets = _PATTERNS[language]
    return pattern.sub(lambda m: targets[(m.lastindex or 1) - 1], text)


def _rewritten(number: re.Match[str]) -> str:
    whole = re.sub(r"[\s.]", ",", number["whole"])
    return f"{whole}.{number['part'][1:]}" if number["part"] else whole


def _pattern(language: Language) -> tuple[re.Pattern[str], tuple[str, ...]]:
    pairs = (*_EVERYWHERE, *_LEXICON[language])
    joined = "|".join(f"({source})" for source, _ in pairs)
    whole = re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)
    return whole, tuple(target for _, target in pairs)


_KNOWN: Final = {name: frozenset(words.split()) for name, words in _COMMON.items()}
_KNOWN_ENGLISH: Final = frozenset(_ENGLISH.split())
_PATTERNS: Final = {name: _pattern(name) for name in _LEXICON}
