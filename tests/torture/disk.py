"""What a disk holds after a power cut: recorded changes are replayed, unsynced ones are dropped.

The model is that of ext4 and xfs: syncing a file makes its content and its creation durable; a
rename or a removal is durable once its folder was synced.
"""

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct("<cIIqQ")
_SECTOR: Final = 512
ACKNOWLEDGED: Final = "ACK"  # a write to a file of this name states what was promised


@dataclass(frozen=True)
class Op:
    """One recorded change: w(rite), t(runcate), s(ync), r(ename), u(nlink), o(pen), z(ero)."""

    kind: str
    path: str
    other: str
    offset: int
    data: bytes


def read_log(file: Path, root: Path) -> list[Op]:
    """The recorded changes, with paths relative to `root`."""
    content, at, ops = file.read_bytes(), 0, []
    prefix = f"{root}/"
    while at < len(content):
        kind, path, other, offset, size = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        texts = []
        for length in (path, other):
            text = content[at : at + length].decode()
            texts.append("" if text == str(root) else text.removeprefix(prefix))
            at += length
        ops.append(Op(kind.decode(), *texts, offset, content[at : at + size]))
        at += size
    return ops


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut off there


class Disk:
    """The files as the process sees them, and as the disk has them."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self._seen: dict[str, _File] = {}
        self._named: dict[str, _File] = {}
        self._moves: list[Op] = []

    def apply(self, op: Op) -> None:
        """Apply one recorded change."""
        if op.path.endswith(ACKNOWLEDGED):
            if op.kind == "w":
                self.acknowledged += op.data.decode().split()
        elif op.kind == "s":
            self._sync(op.path)
        elif op.kind == "r":
            if op.path in self._seen:
                self._seen[op.other] = self._seen.pop(op.path)
                self._moves.append(op)
            else:
                self._rename_folder(op)
        elif op.kind == "u":
            self._seen.pop(op.path, None)
            self._moves.append(op)
        else:
            file = self._seen.setdefault(op.path, _File())
            if op.kind == "w":
                file.pending.append((op.offset, op.data))
            elif op.kind in "tz":
                file.pending.append((op.offset, None))

    def _rename_folder(self, op: Op) -> None:
        """Folders are durable at once: only the keyword index has any, and it is derived."""
        for names in (self._seen, self._named):
            for name in [name for name in names if name.startswith(f"{op.path}/")]:
                names[op.other + name.removeprefix(op.path)] = names.pop(name)

    def _sync(self, path: str) -> None:
        file = self._seen.get(path)
        if file is not None:
            _flush(file.durable, file.pending)
            file.pending.clear()
            self._named[path] = file
            return
        folder = path.rstrip("/")
        for op in [op for op in self._moves if _folder(op.other or op.path) == folder]:
            self._moves.remove(op)
            moved = self._named.pop(op.path, None)
            if op.kind == "r" and moved is not None:
                self._named[op.other] = moved
        for name, created in self._seen.items():
            if _folder(name) == folder:
                self._named.setdefault(name, created)

    def image(self, torn: random.Random | None = None) -> Mapping[str, bytes]:
        """The files after a power cut now; with `torn`, some unsynced writes got through, in part.

        Whatever subset of unsynced sectors a disk has written, nothing promised may be lost.
        """
        files = {}
        for name, file in self._named.items():
            content = bytearray(file.durable)
            _flush(content, _torn(file.pending, torn) if torn else ())
            files[name] = bytes(content)
        return files


def _torn(
    pending: Sequence[tuple[int, bytes | None]], draw: random.Random
) -> Iterator[tuple[int, bytes | None]]:
    for offset, data in pending:
        if data is None:
            yield offset, data
            return  # a file's size changes in order with what follows
        for start in range(0, len(data), _SECTOR):
            if draw.random() < 0.5:
                yield offset + start, data[start : start + _SECTOR]


def _flush(
    content: bytearray,
    pending: "Sequence[tuple[int, bytes | None]] | Iterator[tuple[int, bytes | None]]",
) -> None:
    for offset, data in pending:
        if data is None:
            del content[offset:]
            continue
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(data)] = data


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def write_image(files: Mapping[str, bytes], folder: Path) -> None:
    """Write an image into a folder."""
    for name, content in files.items():
        if not name.endswith("-shm"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
