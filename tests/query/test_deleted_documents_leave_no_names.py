"""Names and periods of deleted documents neither answer nor stay in memory."""

from datetime import UTC, datetime

from foliotrace.model import Document, DocumentStatus, Identity
from foliotrace.query.subjects.identities import _CollectionIdentities
from foliotrace.query.subjects.identity_names import CollectionNames

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def report(document_id: str, company: str, period: str) -> Document:
    return Document(
        id=document_id,
        tenant="t1",
        collection="default",
        name=f"{company}.pdf",
        content_hash="0" * 64,
        size_bytes=1,
        media_type="application/pdf",
        status=DocumentStatus.READY,
        created_at=NOW,
        updated_at=NOW,
        identity=Identity(company=company, kind="10-Q", period=period),
    )


def test_a_deleted_report_does_not_say_which_years_are_held() -> None:
    names = CollectionNames()
    names.put(report("d1", "Apple", "Q3 2023"))
    names.put(report("d2", "Tesla", "Q1 2015"))
    assert names.lacks_year(frozenset({"tesla"}), 2023)
    names.drop("d2")
    assert not names.lacks_year(frozenset({"tesla"}), 2023)
    assert names.lacks_year(frozenset({"tesla"}), 2015)  # as of any name the collection lacks


def test_tables_are_as_small_after_a_thousand_deletions_as_before() -> None:
    collection = _CollectionIdentities()
    for number in range(1_000):
        collection.put("d", frozenset({"berth", f"boat{number}"}), (2023, 1, 1))
        collection.names.put(report("d", f"Boat{number}", "Q3 2023"))
    collection.drop("d")
    assert not collection.holders
    assert not collection.ends
    names = collection.names
    assert not any((names._entries, names._words, names._near, names._files, names._periods))
