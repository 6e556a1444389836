"""A comparison as Markdown for a pull request, as JSON, and as JUnit for CI."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from foliotrace_loop.experiments.compare import ChangeKind, Comparison, GateExit

_WORDS: Final = {
    GateExit.PASS: "passed",
    GateExit.REGRESSION: "failed",
    GateExit.NOT_EVALUATED: "could not be evaluated",
}
_PRINTED: Final = (
    ChangeKind.REGRESSED,
    ChangeKind.NEW_FAILS,
    ChangeKind.UNKNOWN,
    ChangeKind.FLAKY,
    ChangeKind.FIXED,
)
_BAD: Final = frozenset(
    {ChangeKind.REGRESSED, ChangeKind.NEW_FAILS, ChangeKind.FAILS, ChangeKind.FLAKY}
)


def markdown(comparison: Comparison) -> str:
    """The report that answers: target fixed? any case regressed? aggregate up?"""
    c = comparison
    lines = [f"### Gate {_WORDS[c.exit]}: {c.suite}", ""]
    lines += [f"- {reason}" for reason in c.reasons] + ([""] if c.reasons else [])
    span = c.pass_rate
    rate = f" (95 % interval {span.low:.0%} to {span.high:.0%})" if span else ""
    targets = [case for case in c.cases if case.is_target]
    fixed = sum(case.after == "pass" for case in targets)
    lines += [
        "| | before | now |",
        "|---|---|---|",
        f"| experiment | {c.baseline or '-'} | {c.candidate} |",
        *([f"| targets that pass | | {fixed} of {len(targets)} |"] if targets else []),
        "| regressed, fixed | | "
        f"{_count(c, ChangeKind.REGRESSED)}, {_count(c, ChangeKind.FIXED)} |",
        f"| cases that pass | {_before(c)} | {c.passed} of {c.evaluated}{rate} |",
        f"| p95 | {_ms(c.p95_ms_before)} | {_ms(c.p95_ms)} |",
        f"| cost | {_usd(c.cost_usd_before)} | {_usd(c.cost_usd)} in {c.elapsed_s:.1f} s |",
    ]
    if c.baseline is not None:
        lines.append(f"| McNemar, exact | | p = {c.p_value:.3f} over {c.shared} shared cases |")
    printed = [case for change in _PRINTED for case in c.with_change(change)]
    printed += [case for case in targets if case not in printed]
    if printed:
        lines += ["", "| case | change | why |", "|---|---|---|"]
        lines += [f"| {_cell(s.name or s.row_id)} | {s.change} | {_cell(s.why)} |" for s in printed]
    if c.keys:
        lines += ["", "| evaluator | cases | before | now | 95 % of the difference |"]
        lines += ["|---|---|---|---|---|"]
        for key in c.keys:
            if key.cases:
                gap = key.difference
                between = f"{gap.low:+.3f} to {gap.high:+.3f}" if gap else "-"
                lines.append(
                    f"| {key.key} | {key.cases} | {key.before:.3f} | {key.after:.3f} | {between} |"
                )
    return "\n".join(lines)


def as_json(comparison: Comparison) -> Mapping[str, Any]:
    """The comparison as a JSON object; money as text."""
    found = asdict(comparison)
    for name in ("cost_usd", "cost_usd_before"):
        found[name] = None if found[name] is None else str(found[name])
    found["exit"] = int(comparison.exit)
    return found


def junit(comparison: Comparison) -> str:
    """The comparison as a JUnit report: a case that fails as before is skipped, not failed."""
    suite = Element("testsuite", name=comparison.suite, time=f"{comparison.elapsed_s:.3f}")
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for case in comparison.cases:
        counts["tests"] += 1
        element = SubElement(
            suite, "testcase", classname=comparison.suite, name=_xml(f"{case.row_id} {case.name}")
        )
        if case.change is ChangeKind.UNKNOWN:
            counts["errors"] += 1
            SubElement(element, "error", message=_xml(case.why))
        elif case.change in _BAD:
            tolerated = case.change in (ChangeKind.FAILS, ChangeKind.FLAKY) and not case.is_target
            counts["skipped" if tolerated else "failures"] += 1
            kind = "skipped" if tolerated else "failure"
            SubElement(element, kind, message=_xml(f"{case.change}: {case.why}"))
    for name, number in counts.items():
        suite.set(name, str(number))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _count(comparison: Comparison, change: ChangeKind) -> int:
    return len(comparison.with_change(change))


def _before(c: Comparison) -> str:
    return "-" if c.passed_before is None else f"{c.passed_before} of {c.shared}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _usd(value: object) -> str:
    return "-" if value is None else f"{value} USD"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _xml(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(char for char in text if char in "\t\n" or char >= " ")
