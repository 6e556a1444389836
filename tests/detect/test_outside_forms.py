"""The detector judged by forms of people who had not read its rules (`outside_forms.jsonl`).

450 were written for this purpose on 2026-11-22: 200 sensitive, 250 harmless. Measured as they came,
before any rule was changed: recall .850, precision .929. A drawn half (`"half": "development"`) was
then read and general rules were written; the other half (`held`) was measured once more without
being read: recall .901, precision .965 (before those rules .846 and .928). Since then both halves
were used for development. A second outsider wrote 200 more (`"half": "second"`; 130 sensitive):
measured as they came recall .946, precision 1.0; their misses were then mended as well.

Their writer counts addresses of machines (`ok_ip`) as harmless; this project redacts them, as
`judged_forms.txt` does, so they are measured apart.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.detect.test_judged_forms import FORMS, MARKED, hidden, missed

OUTSIDE = [
    json.loads(line)
    for line in Path(__file__).with_name("outside_forms.jsonl").read_text("utf-8").splitlines()
]
_MACHINES = "ok_ip"


def left_over(form: dict[str, Any]) -> bool:
    """Whether six characters or more of the secret are still there."""
    secret, seen = form["secret"], hidden(form["text"])
    return any(secret[at : at + 6] in seen for at in range(max(1, len(secret) - 5)))


def shares(half: str) -> tuple[float, float]:
    """Recall, and precision without the addresses of machines."""
    forms = [form for form in OUTSIDE if form["half"] == half and form["kind"] != _MACHINES]
    sensitive = [form for form in forms if form["secret"]]
    found = sum(not left_over(form) for form in sensitive)
    wrong = sum(hidden(form["text"]) != form["text"] for form in forms if not form["secret"])
    return found / len(sensitive), found / (found + wrong)


@pytest.mark.parametrize(
    ("half", "recall", "precision"),
    [("development", 0.99, 1), ("held", 0.99, 1), ("second", 0.98, 1)],
)
def test_the_measured_shares_hold(half: str, recall: float, precision: float) -> None:
    assert shares(half)[0] >= recall
    assert shares(half)[1] >= precision


def test_97_of_100_of_all_judged_forms_are_redacted() -> None:
    ours = sum(MARKED.search(line) is not None for line in FORMS)
    theirs = [form for form in OUTSIDE if form["secret"]]
    assert ours + len(theirs) >= 300
    left = len(missed()) + sum(map(left_over, theirs))
    assert 1 - left / (ours + len(theirs)) >= 0.97
