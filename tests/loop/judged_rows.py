"""A dataset row for a judge, over a document that answers it."""

from pathlib import Path

from click.testing import CliRunner

from foliotrace_loop.datasets.rows import Datasets
from foliotrace_loop.shapes import Row
from foliotrace_server.cli.main import main


def row_to_judge(folder: Path, *evaluators: str) -> None:
    """Ingest a document into `folder`/data and put a row into the dataset `complaints`."""
    (folder / "a.txt").write_text("The whale weighs 190 tonnes.")
    words = ["--data-dir", str(folder / "data"), "ingest", str(folder / "a.txt")]
    assert CliRunner().invoke(main, words).exit_code == 0
    row = Row(
        id="r1",
        inputs={"query": "How much does the whale weigh?"},
        reference_outputs={"answer": "190 tonnes"},
        split="smoke",
        evaluators=evaluators,
    )
    Datasets(folder / "datasets").put("complaints", row)
