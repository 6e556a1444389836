"""Ids, times and the order of uploaded runs: pure rules.

An id follows from the upload, the old id and the shifted start. Sent again it is the same id, and
ids sort by time (UUIDv7 with a sub-millisecond fraction, RFC 9562 6.2 method 3).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH_UNITS: Final = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0))


def microseconds(value: object) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time (UTC where it names no zone) or epoch number.

    None for no value. Raises ValueError for anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a time")
    if isinstance(value, int | float):
        # Seconds until the year 5138, then milli-, micro- and nanoseconds: by size.
        scale = next((each for limit, each in _EPOCH_UNITS if abs(value) < limit), 1e-3)
        return round(value * scale)
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError(f"{str(value)[:40]!r} is not a time") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def moment(us: int) -> datetime:
    """The aware UTC time of microseconds since 1970."""
    return _EPOCH + us * _MICROSECOND


def iso(us: int) -> str:
    """ISO 8601 in UTC."""
    seconds, fraction = divmod(us, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}+00:00"


@lru_cache(maxsize=4096)
def _second(seconds: int, form: str = "%Y-%m-%dT%H:%M:%S") -> str:
    """A second without its fraction: the runs of a trace share most of theirs."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime(form)


def new_id(upload: str, old_id: str, start_us: int) -> str:
    """A UUIDv7 of the start; the rest is a hash, the same in every attempt."""
    ms, us = divmod(max(start_us, 0), 1000)
    digest = int.from_bytes(blake2b(f"{upload}\n{old_id}".encode(), digest_size=8).digest())
    value = (ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (us << 12) // 1000 << 64
    text = f"{value | 0b10 << 62 | digest & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def order_step(start_us: int, id_: str) -> str:
    """One step of `dotted_order`: start and id."""
    seconds, fraction = divmod(start_us, 1_000_000)
    return f"{_second(seconds, '%Y%m%dT%H%M%S')}{fraction:06d}Z{id_}"


def parent_of(run: Mapping[str, Any]) -> str | None:
    """The parent's id: exports name it, list all ancestors, or have it in `dotted_order`."""
    if run.get("parent_run_id"):
        return str(run["parent_run_id"])
    if run.get("parent_run_ids"):
        return str(run["parent_run_ids"][-1])
    steps = str(run.get("dotted_order") or "").split(".")
    return steps[-2][-36:] if len(steps) > 1 else None
