"""General checks: figures with their words, years, scales and signs; strength; order of words."""

import pytest
from tests.query.test_grounding_rules import verdict

BOUGHT = (
    "The Company repurchased $21.7 billion of its common stock and paid dividends of "
    "$3.8 billion during the third quarter of 2022."
)
PARTS = (
    "Abnormal costs in 2022 were $753 million, including $240 million related to the Kestrel line "
    "and $188 million related to the Osprey line."
)
SHARED = (
    "In fiscal 2017, we recognized $110 million of profit-share revenue. In fiscal 2016, we "
    "recognized $148 million."
)
REGIONS = (
    "Net sales by region (in millions):\n2022 2021\nNorway:\nNet sales $ 5,446 $ 6,464\n"
    "Rest of Europe:\nNet sales $ 6,150 $ 5,395\n"
)
MEMBERS = (
    "(in thousands, except percentages)\nYears ended December 31, 2017 2016\n"
    "Memberships at end of period 62,832 44,365\n"
)
EXCHANGE = "Changes in exchange rates impacted net sales by $1.3 billion and $(2.6) billion."
TAX = "(In millions)\n2023 2022\nIncome tax expense (benefit) 1,279 (67)\n"
PARTNERS = (
    "Certain of the outsourcing partners experienced disruptions during the flood. "
    "Similar disruptions could occur in the future."
)
GROWTH = "Profit growth in our mature markets offset investments in newer markets."
NEEDED = "The authors show that membrane repair is necessary for vesicle transport in neurons."
RODS = "6 steel rods 94.80\nTotal 277.00\n"
LINKS = "Sales growth reflects increased customer usage, partially offset by pricing changes."
FEE = "Parking fee RM4.00, of which GST RM0.23"

CASES = (
    (BOUGHT, "The Company paid ${} billion in dividends during the third quarter of 2022.",
     "3.8", "21.7"),
    (PARTS, "The Kestrel line accounted for ${} million of abnormal costs in 2022.", "240", "753"),
    (SHARED, "Profit-share revenue of $148 million was recognized in fiscal {}.", "2016", "2017"),
    (SHARED, "Profit-share revenue dropped from $148 million in fiscal {} million in fiscal 2017.",
     "2016 to $110", "2016 to $11"),
    (REGIONS, "Net sales in Norway were ${} million in 2022.", "5,446", "6,150"),
    (MEMBERS, "There were {} memberships at the end of 2016.", "44,365 thousand", "44,365"),
    (EXCHANGE, "Changes in exchange rates {} net sales by $2.6 billion.", "reduced", "increased"),
    (TAX, "The company recorded an income tax {} of $67 million in 2022.", "benefit", "expense"),
    (PARTNERS, "{} outsourcing partners experienced disruptions during the flood.", "Some", "All"),
    (PARTNERS, "Similar disruptions {} occur in the future.", "could", "did"),
    (GROWTH, "Profit growth in {} markets.",
     "mature markets offset investments in newer", "newer markets offset investments in mature"),
    (NEEDED, "In neurons, {}.", "membrane repair is necessary for vesicle transport",
     "vesicle transport is necessary for membrane repair"),
    (RODS, "The six steel rods cost 94.80, about {} of the total of 277.00.", "a third", "half"),
    (LINKS, "Sales growth reflects increased customer usage, {} pricing changes.",
     "partially offset by", "and is due to"),
    (FEE, "The parking fee was {}4.00.", "RM", "US$"),
)  # fmt: skip


@pytest.mark.parametrize(("passage", "sentence", "true", "false"), CASES)
def test_the_true_sentence_is_kept_and_its_twin_is_not(
    passage: str, sentence: str, true: str, false: str
) -> None:
    assert verdict(sentence.format(true), of=passage) != "unverified"
    assert verdict(sentence.format(false), of=passage) == "unverified"
