"""The boxes of a span of text: every word under it is covered, and no other word is looked at."""

from hypothesis import given
from hypothesis import strategies as st

from foliotrace.model import Box, Word, Words

sizes = st.integers(1, 40)


@st.composite
def pages(draw: st.DrawFn) -> list[Word]:
    """Words in reading order, on lines of ten, with gaps of any size between them."""
    words, start = [], 0
    for number, (gap, length, jump) in enumerate(
        draw(st.lists(st.tuples(st.integers(0, 3), sizes, st.integers(0, 60)), max_size=40))
    ):
        start += gap
        box = Box(number % 10 * 50.0 + jump, number // 10 * 12.0, length * 5.0, 10.0)
        words.append(Word(start, start + length, box))
        start += length
    return words


spans = st.tuples(st.integers(0, 1000), st.integers(0, 300)).map(lambda s: (s[0], s[0] + s[1]))


@given(pages(), spans)
def test_only_the_words_under_a_span_count(words: list[Word], span: tuple[int, int]) -> None:
    start, end = span
    under = [w for w in words if w.end > start and w.start < end]
    assert Words.pack(words).boxes(start, end) == Words.pack(under).boxes(0, 10_000)


@given(pages(), spans)
def test_every_word_under_a_span_lies_in_a_box(words: list[Word], span: tuple[int, int]) -> None:
    start, end = span
    found = Words.pack(words).boxes(start, end)
    for word in (w for w in words if w.end > start and w.start < end):
        x, y = word.box.x + word.box.width / 2, word.box.y + word.box.height / 2
        assert any(b.x <= x <= b.x + b.width and b.y <= y <= b.y + b.height for b in found)


def test_words_of_one_line_share_a_box_and_a_jump_starts_another() -> None:
    line = [Word(0, 4, Box(0, 0, 20, 10)), Word(5, 9, Box(25, 0, 20, 10))]
    far = Word(10, 14, Box(200, 0, 20, 10))
    below = Word(15, 19, Box(0, 14, 20, 10))
    found = Words.pack([*line, far, below]).boxes(0, 19)
    assert found == (Box(0, 0, 45, 10), Box(200, 0, 20, 10), Box(0, 14, 20, 10))


def test_a_page_without_words_has_no_boxes() -> None:
    assert Words().boxes(0, 1) == ()
