"""`foliotrace loop calibrate`, and what rates a suite: rules, grounding, and the judge if any."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from foliotrace_loop.ports import LoopError
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Options, pass_options
from foliotrace_server.cli.loop.shared import (
    datasets_option,
    folder_of,
    loop,
    with_loop_exit_code,
)

if TYPE_CHECKING:
    from foliotrace_loop.evaluators.judge import Calibration, LabelledCase
    from foliotrace_loop.evaluators.registry import Evaluators
    from foliotrace_server.loop.judge import OpenJudge

JUDGES = "judges"
"""The folder of calibrations, beside that of the datasets."""


@loop.command("calibrate")
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="JSONL: each line has `inputs`, `outputs` with `answer`, and `passed`, by a person.",
)
@datasets_option
@pass_options
@with_loop_exit_code
def calibrate_judge(options: Options, labels: Path, folder: Path) -> int:
    """Compare the judge of tone with people, and write its calibration, which belongs into git.

    Exits with 1 if people agree with it in less than 80 %, or no more than chance: it is not used.

    Examples:
      foliotrace loop calibrate --labels evals/judges/tone.labels.jsonl
    """
    import asyncio

    from foliotrace_loop.evaluators.judge import TONE, calibrate
    from foliotrace_loop.evaluators.registry import TONE_KEY

    cases = _labelled(labels)
    opened = judge_of(options)
    if opened is None:
        raise LoopError("no judge is configured: set loop.judge, or llm")

    async def work() -> "Calibration":
        try:
            today = datetime.now(UTC).date().isoformat()
            return await calibrate(opened.judge, TONE, cases, at=today)
        finally:
            await opened.close()

    card = asyncio.run(work())
    file = folder.parent / JUDGES / f"{TONE_KEY}.json"
    card.save(file)
    if options.output == "json":
        output.print_json(card)
    else:
        kappa = "undefined" if card.kappa is None else f"{card.kappa:.2f}"
        output.print_line(
            f"{card.model} agrees with people in {card.agreement:.0%} of {card.labels} answers "
            f"(kappa {kappa}): {file}"
        )
        if card.weakness is not None:
            output.print_line(f"it is not used: {card.weakness}")
    return Exit.DONE if card.weakness is None else 1


def judge_of(options: Options) -> "OpenJudge | None":
    """The configured judge, charged to its own account; None without a model."""
    from foliotrace.adapters.local.clock import SystemClock
    from foliotrace_server.loop.judge import EVALUATIONS, open_judge

    settings = options.settings()
    return open_judge(
        settings,
        folder_of(options),
        account=EVALUATIONS,
        daily_usd=settings.loop.judge_daily_usd,
        clock=SystemClock(),
    )


def evaluators_of(
    options: Options, folder: Path, extra: tuple[str, ...]
) -> "tuple[Evaluators, OpenJudge | None]":
    """What rates a suite, and the judge to close. Raises LoopError for an unusable one."""
    from foliotrace_loop.evaluators.registry import Evaluators
    from foliotrace_server.loop.grounding import AnswerGrounding

    opened = judge_of(options)
    evaluators = Evaluators(
        grounding=AnswerGrounding(),
        judge=opened.judge if opened is not None else None,
        calibrations=folder.parent / JUDGES,
        extra=extra,
    )
    return evaluators, opened


def _labelled(file: Path) -> "list[LabelledCase]":
    from foliotrace_loop.evaluators.judge import LabelledCase

    cases = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            case = LabelledCase(
                inputs=said.get("inputs", {}),
                outputs=said["outputs"],
                reference=said.get("reference", {}),
                passed=said["passed"],
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            case = None
        if case is None or not isinstance(case.passed, bool) or "answer" not in case.outputs:
            raise LoopError(f"{file}:{number} is no label: it needs `outputs.answer` and `passed`")
        cases.append(case)
    return cases
