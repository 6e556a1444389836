"""Formulas in words and signs: "average inventories / cost of sales", parsed and computed. Pure.

The lexicon writes its formulas so, and questions define their own ("defined as: capex / revenue").
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, DivisionByZero, InvalidOperation
from typing import Final, TypeAlias

_WORDS_FOR_SIGNS: Final = (
    (re.compile(r"\bdivided\s+by\b|\u00f7", re.I), " / "),
    (re.compile(r"\b(?:multiplied\s+by|times)\b|[\u00d7\u2217]", re.I), " * "),
    (re.compile(r"\b(?:minus|less)\b|\s[\u2212\u2013-]\s", re.I), " - "),
    (re.compile(r"\bplus\b", re.I), " + "),
)
_TOKEN: Final = re.compile(r"[()*/+]|(?<=\s)-(?=\s)|[^\s()*/+]+")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_CONTAINER: Final = re.compile(
    r"^(?P<how>average|change\s+in)\s+(?:of\s+|the\s+|in\s+)?(?P<what>.+)", re.I
)
_MOST_TOKENS: Final = 80


@dataclass(frozen=True, slots=True)
class Operand:
    """A figure, as it is called."""

    phrase: str


@dataclass(frozen=True, slots=True)
class OverPeriods:
    """The average of an operand over its periods, or its change from the first to the last."""

    how: str  # "average" or "change"
    operand: Operand


@dataclass(frozen=True, slots=True)
class Calculation:
    """Two expressions and the sign between them."""

    sign: str
    left: "Expression"
    right: "Expression"


Expression: TypeAlias = Decimal | Operand | OverPeriods | Calculation


class NoValue(Exception):
    """The formula has no value: a division by zero."""


def parsed(text: str) -> Expression | None:
    """The formula in `text`; None if it is not one."""
    for pattern, sign in _WORDS_FOR_SIGNS:
        text = pattern.sub(sign, text)
    tokens = _TOKEN.findall(text)
    if not tokens or len(tokens) > _MOST_TOKENS:
        return None
    parser = _Parser(tokens)
    try:
        found = parser.sum()
    except (IndexError, ValueError):
        return None
    return found if parser.at_end else None


class _Parser:
    """Precedence climbing over tokens; raises IndexError or ValueError on what is no formula."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def sum(self) -> Expression:
        return self._chain("+-", self._product)

    def _product(self) -> Expression:
        return self._chain("*/", self._value)

    def _chain(self, signs: str, part: Callable[[], Expression]) -> Expression:
        left = part()
        while not self.at_end and self._tokens[self._at] in signs:
            sign = self._tokens[self._at]
            self._at += 1
            left = Calculation(sign, left, part())
        return left

    def _value(self) -> Expression:
        if self._tokens[self._at] == "(":
            self._at += 1
            inner = self.sum()
            if self._tokens[self._at] != ")":
                raise ValueError("a bracket is not closed")
            self._at += 1
            return inner
        words = []
        while not self.at_end and self._tokens[self._at] not in ("*", "/", "+", "-", "(", ")"):
            words.append(self._tokens[self._at])
            self._at += 1
        if len(words) == 1 and _NUMBER.fullmatch(words[0]):
            return Decimal(words[0])
        if not words:
            raise ValueError("a sign without a value")
        return _operand(" ".join(words))


def _operand(phrase: str) -> Expression:
    over = _CONTAINER.match(phrase)
    if over:
        how = "average" if over["how"].lower() == "average" else "change"
        return OverPeriods(how, Operand(over["what"]))
    return Operand(phrase)


def operands_of(expression: Expression) -> Iterator[Operand | OverPeriods]:
    """The operands of a formula, left to right."""
    if isinstance(expression, Calculation):
        yield from operands_of(expression.left)
        yield from operands_of(expression.right)
    elif not isinstance(expression, Decimal):
        yield expression


def phrases_of(expression: Expression) -> Iterator[str]:
    """What the operands of a formula are called."""
    for each in operands_of(expression):
        yield each.operand.phrase if isinstance(each, OverPeriods) else each.phrase


def computed(
    expression: Expression, value_of: Callable[[Operand | OverPeriods], Decimal]
) -> Decimal:
    """The value of a formula. Raises NoValue."""
    if isinstance(expression, Decimal):
        return expression
    if not isinstance(expression, Calculation):
        return value_of(expression)
    left, right = computed(expression.left, value_of), computed(expression.right, value_of)
    try:
        if expression.sign == "+":
            return left + right
        if expression.sign == "-":
            return left - right
        return left * right if expression.sign == "*" else left / right
    except (DivisionByZero, InvalidOperation) as error:
        raise NoValue from error
