"""Audit records as OCSF events (class 6003, API Activity), for security information systems.

Source: Open Cybersecurity Schema Framework 1.3.0, https://schema.ocsf.io/1.3.0/classes/api_activity
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

_CLASS: Final = 6003
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_ACTIVITY: Final = {"query": _READ, "ingest": _CREATE, "extract": _CREATE, "delete": _DELETE}
_BY_VERB: Final = {
    "create": _CREATE, "read": _READ, "get": _READ, "list": _READ, "find": _READ, "export": _READ,
    "update": _UPDATE, "rotate": _UPDATE, "patch": _UPDATE, "delete": _DELETE, "revoke": _DELETE,
    "erase": _DELETE, "post": _CREATE,
}  # fmt: skip
_SUCCESS, _FAILURE, _UNKNOWN = 1, 2, 0
_INFORMATIONAL, _MEDIUM = 1, 3
_MAPPED: Final = frozenset(
    {"stream", "v", "seq", "prev", "mac", "event", "timestamp", "trace_id", "user_id", "success"}
    | {
        "error",
        "error_type",
        "tenant",
        "caller",
        "api_key_id",
        "source_address",
        "run_id",
        "action",
    }
)


def as_ocsf(record: Mapping[str, Any], *, version: str) -> dict[str, Any]:
    """An audit record as an API Activity event; what OCSF has no field for is in `unmapped`.

    `version` is this product's.
    """
    event = str(record["event"])
    action = str(record.get("action") or "")
    activity = _activity(event, action)
    success = record.get("success")
    failed = event.endswith("_failed") or success is False
    caller, claimed = record.get("caller"), record.get("user_id")
    out: dict[str, Any] = {
        "category_uid": 6,
        "class_uid": _CLASS,
        "activity_id": activity,
        "type_uid": _CLASS * 100 + activity,
        "time": int(datetime.fromisoformat(record["timestamp"]).timestamp() * 1000),
        "severity_id": _MEDIUM if failed else _INFORMATIONAL,
        "status_id": _FAILURE if failed else _SUCCESS if success else _UNKNOWN,
        "actor": {"user": _user(caller or claimed, record.get("api_key_id"))},
        "api": {"operation": action or event, "request": {"uid": record.get("run_id") or ""}},
        "src_endpoint": {"ip": record.get("source_address") or ""},
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "foliotrace", "vendor_name": "foliotrace", "version": version},
            "uid": f"{record.get('stream', '')}#{record.get('seq')}",
            "correlation_uid": record.get("trace_id") or "",
            "tenant_uid": record.get("tenant") or "",
        },
        "unmapped": {name: value for name, value in record.items() if name not in _MAPPED},
    }
    if failed:
        out["status_code"] = record.get("error_type") or ""
        out["status_detail"] = record.get("error") or ""
    if caller and claimed and claimed != caller:
        out["unmapped"]["claimed_user_id"] = claimed
    return out


def _activity(event: str, action: str) -> int:
    family = event.partition("_")[0]
    if family in _ACTIVITY:
        return _ACTIVITY[family]
    words = action.lower().replace(".", " ").split()
    return next((_BY_VERB[word] for word in words if word in _BY_VERB), _OTHER)


def _user(uid: Any, key_id: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON value
    user = {"uid": uid or "unknown"}
    return {**user, "credential_uid": key_id} if key_id else user
