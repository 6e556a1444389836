"""`foliotrace keys`, from an empty folder to a server that asks for the key."""

from pathlib import Path

import httpx
from tests.cli.command_line import foliotrace, json_output
from tests.server.small_service import serving

from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings


async def _listed(folder: Path, key: str) -> httpx.Response:
    async with serving(compose(load_settings(None, data_dir=folder))) as client:
        return await client.get("/v1/documents", headers={"Authorization": f"Bearer {key}"})


def test_a_key_made_in_an_empty_folder_opens_the_server_that_starts_there(tmp_path: Path) -> None:
    import asyncio

    made = foliotrace(tmp_path, "--data-dir", "data", "keys", "create", "--name", "reports")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert key.startswith("ftk_")
    assert "cannot be shown again" in made.stderr
    assert asyncio.run(_listed(tmp_path / "data", key)).status_code == 200
    assert asyncio.run(_listed(tmp_path / "data", key[:-1])).status_code == 401
    listed = json_output(tmp_path, "--data-dir", "data", "keys", "list")
    assert (listed[0]["name"], listed[0]["state"]) == ("reports", "live")
    assert key not in str(listed)
    new = json_output(tmp_path, "--data-dir", "data", "keys", "rotate", listed[0]["id"])
    assert new["key"] != key
    revoked = json_output(tmp_path, "--data-dir", "data", "keys", "revoke", listed[0]["id"])
    assert revoked["state"] == "revoked"
    unknown = foliotrace(tmp_path, "--data-dir", "data", "keys", "revoke", "nosuchkey")
    assert (unknown.returncode, "key_not_found" in unknown.stderr) == (4, True)
    asked = foliotrace(tmp_path, "--data-dir", "data", "documents", "list")
    assert asked.returncode == 0, asked.stderr  # whoever can open the folder needs no key
