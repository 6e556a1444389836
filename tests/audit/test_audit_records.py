import hashlib
import hmac
import json
import stat
import unicodedata
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.log_reading import OpenLog, audit_records

from foliotrace_audit import (
    AuditClosed,
    AuditFieldInvalid,
    AuditKeys,
    AuditSettingInvalid,
    AuditWriterSettings,
    Entry,
    QueryHasher,
    open_keys,
)
from foliotrace_audit.chain import GENESIS, HmacSha256, is_authentic, link
from foliotrace_audit.keys import MacKey
from foliotrace_audit.record import ALWAYS_PRESENT, FIELDS, MAX_TEXT_CHARS, encode, shorten
from foliotrace_audit.record import drop_error_text as drop
from foliotrace_audit.write.hooks import utc_now

CANARY = "canary-7f3a wann ist die Kündigungsfrist?"


def test_a_record_holds_the_promised_fields_under_their_names(
    open_log: OpenLog, tmp_path: Path
) -> None:
    writer = open_log()
    key_id, query_hash = writer.hash_query("acme", CANARY)
    writer.append(
        Entry(
            event="query_completed",
            run_id="run-1",
            tenant="acme",
            user_id="ann",
            query_hash=query_hash,
            key_id=key_id,
            success=True,
            response_length=120,
            degradation_level=1,
            degradation_reasons=("llm_fallback",),
            model="small-1",
            tokens=321,
            cost_usd=Decimal("0.00042"),
            document_ids=("doc-1", "doc-2"),
        ),
        trace_id="a" * 32,
    )
    writer.close()
    [record] = audit_records(tmp_path / "log")
    assert set(ALWAYS_PRESENT) <= set(record) <= set(FIELDS)
    assert record["degradation"] == {"level": 1, "reasons": ["llm_fallback"]}
    assert (record["cost_usd"], record["tokens"], record["success"]) == ("0.00042", 321, True)
    assert (record["trace_id"], record["timestamp"][-1]) == ("a" * 32, "Z")
    assert (record["v"], record["seq"], record["query_hash"]) == (1, 1, query_hash)


def test_the_query_and_the_error_text_are_nowhere_in_the_log(
    open_log: OpenLog, tmp_path: Path
) -> None:
    writer = open_log()
    key_id, query_hash = writer.hash_query("acme", CANARY)
    failed = Entry(
        event="query_failed",
        query_hash=query_hash,
        key_id=key_id,
        success=False,
        error=f"cannot answer {CANARY}",
        error_type="index_unavailable",
    )
    writer.append(failed)
    writer.close()
    content = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"canary" not in content
    assert hashlib.sha256(CANARY.encode()).hexdigest().encode() not in content
    assert audit_records(tmp_path / "log")[0]["error"] == "index_unavailable"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("zero_chunks", "zero_chunks"),
        ("canary", "IngestError"),
        ("no chunks in canary.pdf", "IngestError"),
        ("canary_1\nzero_chunks", "IngestError"),
        ("x" * 99 + "_x", "IngestError"),
    ],
)
def test_by_default_a_stable_code_or_the_type_stays_of_an_error(text: str, kept: str) -> None:
    line = encode(
        Entry(event="ingest_failed", error=text, error_type="IngestError"), utc_now(), drop
    )
    assert json.loads(line)["error"] == kept


def test_an_injected_redactor_decides_what_stays_of_an_error(
    open_log: OpenLog, tmp_path: Path
) -> None:
    writer = open_log(redact_error=lambda error_type, text: text.replace("secret", "[redacted]"))
    writer.append(Entry(event="query_failed", error="the secret failed", error_type="bug"))
    writer.close()
    assert audit_records(tmp_path / "log")[0]["error"] == "the [redacted] failed"


@pytest.mark.parametrize("plain", [CANARY, "", "A" * 64, "0" * 63])
def test_a_query_cannot_pose_as_its_hash(open_log: OpenLog, plain: str) -> None:
    with pytest.raises(AuditFieldInvalid, match="not a keyed"):
        open_log().append(Entry(event="query_received", query_hash=plain))


def test_an_unknown_event_is_refused(open_log: OpenLog) -> None:
    with pytest.raises(AuditFieldInvalid, match="unknown audit event"):
        open_log().append(Entry(event="segment.sealed"))


@given(st.text(max_size=600))
def test_any_text_in_a_field_becomes_one_bounded_line(text: str) -> None:
    line = encode(Entry(event="admin_received", user_id=text), utc_now(), drop, action=text)
    assert b"\n" not in line
    assert len(json.loads(line)["user_id"]) <= MAX_TEXT_CHARS


@given(st.text(min_size=MAX_TEXT_CHARS + 1, max_size=400), st.text(min_size=300, max_size=400))
def test_shortened_texts_stay_comparable(one: str, other: str) -> None:
    assert (shorten(one) == shorten(other)) is (one == other)


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300))
def test_the_mac_is_standard_hmac_sha256(key: bytes, message: bytes) -> None:
    expected = hmac.new(key, message, "sha256").hexdigest()
    assert HmacSha256(key).hex(message).decode() == expected


@given(st.dictionaries(st.text(), st.integers(), min_size=1), st.data())
def test_a_linked_line_is_authentic_until_any_byte_changes(
    record: dict[str, int], data: st.DataObject
) -> None:
    key = HmacSha256(b"k" * 32)
    line, mac = link(json.dumps(record).encode(), 7, GENESIS, key)
    assert json.loads(line) == {"v": 1, "seq": 7, "prev": GENESIS.decode(), **record} | {
        "mac": mac.decode()
    }
    at = data.draw(st.integers(0, len(line) - 1))
    changed = bytearray(line)
    changed[at] ^= data.draw(st.integers(1, 255))
    assert is_authentic(line, key)
    assert not is_authentic(bytes(changed), key)


@given(st.text(), st.text())
def test_a_query_hash_is_an_hmac_under_the_tenants_own_key(tenant: str, text: str) -> None:
    key = MacKey("query-test", b"q" * 32)
    tenant_key = hmac.digest(key.secret, tenant.encode("utf-8", "surrogatepass"), "sha256")
    normal = unicodedata.normalize("NFC", text).strip().encode("utf-8", "surrogatepass")
    expected = hmac.new(tenant_key, normal, "sha256").hexdigest()
    assert QueryHasher(key)(tenant, text) == ("query-test", expected)


def test_equal_questions_match_within_a_tenant_only(keys: AuditKeys) -> None:
    hasher = QueryHasher(keys.query)
    composed, decomposed = "Kündigung?", "Ku\N{COMBINING DIAERESIS}ndigung? \n"
    assert hasher("acme", composed) == hasher("acme", decomposed)
    assert hasher("acme", composed) != hasher("globex", composed)
    assert hasher("acme", composed) != hasher("acme", composed.upper())


def test_files_are_for_their_owner_only(open_log: OpenLog, tmp_path: Path) -> None:
    open_log().close()
    for path in tmp_path.rglob("*"):
        allowed = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) & ~allowed == 0, path


def test_made_up_keys_are_marked_and_kept(tmp_path: Path) -> None:
    first = open_keys(tmp_path / "made")
    again = open_keys(tmp_path / "made")
    assert first.dev_key
    assert again.ids == first.ids


def test_secrets_are_not_shown(keys: AuditKeys) -> None:
    assert keys.chain.secret.hex() not in repr(keys)
    assert repr(keys.chain.secret) not in repr(keys)


def test_a_closed_writer_takes_nothing(open_log: OpenLog) -> None:
    writer = open_log()
    writer.close()
    with pytest.raises(AuditClosed):
        writer.append(Entry(event="query_received"))


def test_a_setting_out_of_range_is_refused() -> None:
    with pytest.raises(AuditSettingInvalid, match="linger_ms"):
        AuditWriterSettings(linger_ms=0)
