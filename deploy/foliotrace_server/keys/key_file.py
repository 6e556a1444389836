"""The keys of a data folder, in one JSON file that only its owner can read.

The command line writes it while a server reads it: a write replaces the file as a whole, and a
reader notices that by the file's identity, size and time.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError

from foliotrace.catalog import ErrorCode
from foliotrace.errors import BadInput, Misconfigured, NotFound
from foliotrace.model import COLLECTION_NAME
from foliotrace_server.keys.api_key import TENANT, ApiKey, KeyText, Scope, hash_of

FILE_NAME: Final = "api-keys.json"
_STORED: Final = TypeAdapter(list[ApiKey])
_NO_KEY: Final = ErrorCode.KEY_NOT_FOUND
_log = structlog.get_logger(__name__)


class KeyFile:
    """Creates, lists, rotates and revokes keys. Revoked and expired keys stay listed."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE_NAME

    def keys(self) -> Sequence[ApiKey]:
        """Every key, oldest first. Raises Misconfigured if the file cannot be read."""
        try:
            return _STORED.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise Misconfigured(
                f"{self.path.name} cannot be read: {type(error).__name__}",
                hint="Restore the file from a backup; until then every request is refused.",
            ) from None

    def create(
        self,
        *,
        tenant: str,
        scopes: frozenset[Scope],
        now: datetime,
        name: str = "",
        expires_at: datetime | None = None,
        collections: frozenset[str] | None = None,
    ) -> tuple[ApiKey, str]:
        """(the key, its text, which is stored nowhere). Raises BadInput, Misconfigured."""
        _check_collections(collections, scopes)
        if not TENANT.fullmatch(tenant):
            raise BadInput(
                "the tenant name cannot be used",
                hint="Use 1 to 64 letters, digits, dots, dashes and underscores.",
            )
        with self._writing() as keys:
            key, text = _new_key(
                tenant=tenant,
                scopes=scopes,
                created_at=now,
                name=name,
                expires_at=expires_at,
                collections=collections,
            )
            keys[key.id] = key
        return key, text

    def rotate(self, key_id: str, *, now: datetime, overlap: timedelta) -> tuple[ApiKey, str]:
        """A new key with the rights of a live one, which stays valid for `overlap`.

        Raises NotFound `key_not_found` if there is no such live key or it was rotated before.
        """
        with self._writing() as keys:
            old = keys.get(key_id)
            if old is None or old.state(now) != "live" or old.replaced_by in keys:
                raise NotFound("no live key with that id waits for its rotation", code=_NO_KEY)
            lifetime = old.expires_at - old.created_at if old.expires_at is not None else None
            key, text = _new_key(
                tenant=old.tenant,
                scopes=old.scopes,
                created_at=now,
                name=old.name,
                expires_at=now + lifetime if lifetime is not None else None,
                collections=old.collections,
            )
            ends_at = min(old.expires_at or now + overlap, now + overlap)
            keys[old.id] = replace(old, expires_at=ends_at, replaced_by=key.id)
            keys[key.id] = key
        return key, text

    def revoke(self, key_id: str, *, now: datetime) -> ApiKey:
        """Revoke a key at once. Raises NotFound `key_not_found`."""
        with self._writing() as keys:
            key = keys.get(key_id)
            if key is None:
                raise NotFound("no key has that id", code=_NO_KEY)
            if key.revoked_at is None:
                keys[key_id] = key = replace(key, revoked_at=now)
        return key

    @contextmanager
    def _writing(self) -> Iterator[dict[str, ApiKey]]:
        """The keys by id; what the caller leaves in the dictionary replaces the file."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = {key.id: key for key in self.keys()}
            yield keys
            self._replace(_STORED.dump_json(list(keys.values()), indent=1))
        except OSError as error:
            raise _unwritable(error) from None
        finally:
            os.close(lock)

    def _replace(self, content: bytes) -> None:
        """Write and fsync a file beside ours, and rename it."""
        partial = self.path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class LiveKeys:
    """The keys for a server: read again whenever the file has changed.

    Once it has seen a key, a file that is gone or unreadable admits nobody, rather than everybody.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = KeyFile(data_dir)
        self._version: tuple[int, ...] | None = None
        self._keys: Mapping[str, ApiKey] = {}
        self._exist = False

    @property
    def exist(self) -> bool:
        """Whether a key was ever made, be it revoked or expired."""
        self._refresh()
        return self._exist

    def find(self, text: KeyText, now: datetime) -> tuple[ApiKey | None, str]:
        """(the key, `live`), or (None, why not): `unknown`, `revoked`, `expired`."""
        self._refresh()
        key = self._keys.get(text.id)
        if key is None or not key.is_hash_of(text.text):
            return None, "unknown"
        state = key.state(now)
        return (key if state == "live" else None), state

    def reload(self) -> None:
        """Read the file again."""
        self._version = None
        self._refresh()

    def _refresh(self) -> None:
        version = self._current_version()
        if version == self._version:
            return
        self._version = version
        try:
            keys = self._file.keys()
        except Misconfigured:
            self._keys, self._exist = {}, True
            _log.error("keys.unreadable", file=FILE_NAME)
            return
        if not keys and self._exist:
            _log.error("keys.missing", file=FILE_NAME)
        self._keys = {key.id: key for key in keys}
        self._exist = self._exist or bool(keys)
        _log.info("keys.loaded", count=len(keys))

    def _current_version(self) -> tuple[int, ...] | None:
        with suppress(FileNotFoundError):
            found = self._file.path.stat()
            return found.st_ino, found.st_size, found.st_mtime_ns
        return ()


def _new_key(
    *,
    tenant: str,
    scopes: frozenset[Scope],
    created_at: datetime,
    name: str,
    expires_at: datetime | None,
    collections: frozenset[str] | None,
) -> tuple[ApiKey, str]:
    text = KeyText.new()
    key = ApiKey(
        id=text.id,
        hash=hash_of(text.text),
        tenant=tenant,
        scopes=scopes,
        created_at=created_at,
        name=name,
        expires_at=expires_at,
        collections=collections,
    )
    return key, text.text


def _check_collections(collections: frozenset[str] | None, scopes: frozenset[Scope]) -> None:
    if collections is None:
        return
    if not collections or not all(COLLECTION_NAME.fullmatch(each) for each in collections):
        raise BadInput(code=ErrorCode.INVALID_COLLECTION)
    if Scope.ADMIN in scopes:
        raise BadInput(
            "a key for some collections cannot have the scope `admin`",
            hint="That scope covers every tenant; make two keys.",
        )


def _unwritable(error: OSError) -> Misconfigured:
    return Misconfigured(
        f"{FILE_NAME} cannot be written: {error.strerror}", hint="Check the data folder."
    )
