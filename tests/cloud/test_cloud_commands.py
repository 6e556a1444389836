"""`foliotrace cloud usage` and `foliotrace index reconcile` on a real data folder."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cloud.service import FUEL, Service, cloud, service, settings_for
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf

from foliotrace.errors import NotFound
from foliotrace_server.cli.cloud import usage
from foliotrace_server.cli.main import main
from foliotrace_server.doctor import run_probes
from foliotrace_server.settings import Settings


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


def test_usage_says_what_was_bought(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    async def buy() -> None:
        async with service(tmp_path, llamacloud=cloud(fake, parsing="cloud")) as running:
            await running.put("invoice.pdf", invoice_pdf())

    asyncio.run(buy())
    (row,) = usage(tmp_path, 1)
    assert (row.kind, row.jobs, row.failed) == ("parse", 1, 0)
    assert row.credits == fake.billing.credits > 0
    said = CliRunner().invoke(
        main, ["--data-dir", str(tmp_path), "--output", "json", "cloud", "usage"]
    )
    assert json.loads(said.stdout)[0]["credits"] == row.credits


def test_usage_of_a_folder_that_never_bought_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        usage(tmp_path, 1)


def test_drift_is_shown_and_then_repaired(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    given = cloud(fake, index="cloud_then_local")

    async def serve() -> None:
        async with service(tmp_path, llamacloud=given) as running:
            done = await running.put("fuel.txt", FUEL)
            await running.until(("managed", "extractive"), "What does unleaded cost?")
            fake.state.directory_files.clear()
            for dry_run in (True, False):
                drift = await reconciled(running, dry_run=dry_run)
                assert drift["missing"] == [done["document_id"]]
            assert not any((await reconciled(running, dry_run=True)).values())
            assert (await running.ask("What does unleaded cost?")).path[0] == "managed"

    asyncio.run(serve())


async def reconciled(running: Service, *, dry_run: bool) -> dict[str, list[str]]:
    sent = await running.client.post("/v1/index/reconcile", json={"dry_run": dry_run})
    assert sent.status_code == 200, sent.text
    return dict(sent.json())


def test_reconcile_without_a_managed_index_says_which_setting_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "fuel.txt"
    file.write_text(FUEL)
    here = ["--data-dir", str(tmp_path / "data")]
    assert CliRunner().invoke(main, [*here, "ingest", str(file)]).exit_code == 0
    said = CliRunner().invoke(main, [*here, "index", "reconcile", "--dry-run"])
    assert said.exit_code != 0
    assert "llamacloud.index" in said.output


def test_a_record_is_extracted_from_the_path_that_was_ingested(tmp_path: Path) -> None:
    (tmp_path / "inbox" / "may").mkdir(parents=True)
    file = tmp_path / "inbox" / "may" / "invoice.txt"
    file.write_text("Invoice number: INV-7")
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"invoice_number": {"type": "string"}}}')
    for name, ingested in (("file", file), ("folder", tmp_path / "inbox")):
        here = ["--data-dir", str(tmp_path / name)]
        assert CliRunner().invoke(main, [*here, "ingest", str(ingested)]).exit_code == 0
        said = CliRunner().invoke(main, [*here, "extract", str(file), "--schema", str(schema)])
        assert "INV-7" in said.output, said.output


def _probed(settings: Settings) -> tuple[str, str]:
    (found,) = [each for each in asyncio.run(run_probes(settings)) if each.area == "llamacloud"]
    return found.state, found.said


def test_a_probe_tells_a_good_key_from_a_bad_one(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, llamacloud=cloud(fake, index="cloud_then_local"))
    assert _probed(settings)[0] == "on"
    fake.fail("GET /api/v1/projects", Fault.unauthorized)
    assert _probed(settings) == (
        "problem",
        "127.0.0.1 does not accept the key: status 401",
    )
    assert fake.billing.jobs() == 0


def test_the_commands_take_a_path_and_say_when_it_is_not_offered(tmp_path: Path) -> None:
    file = tmp_path / "fuel.txt"
    file.write_text(FUEL)
    here = ["--data-dir", str(tmp_path / "data")]
    assert CliRunner().invoke(main, [*here, "ingest", str(file), "--path", "local"]).exit_code == 0
    again = CliRunner().invoke(main, [*here, "ingest", str(file), "--path", "local"])
    assert "1 unchanged" in again.stdout
    for command in (
        ["ingest", str(file), "--path", "cloud"],
        ["ask", "What costs unleaded?", "--path", "cloud_then_local"],
    ):
        refused = CliRunner().invoke(main, [*here, *command])
        assert refused.exit_code != 0
        assert "path_not_offered" in refused.output
    asked = CliRunner().invoke(main, [*here, "ask", "What costs unleaded?", "--path", "local"])
    assert "2.31" in asked.stdout
