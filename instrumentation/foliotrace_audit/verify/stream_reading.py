"""Reads the small files of a stream's folder, before its segments are scanned."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from foliotrace_audit import control
from foliotrace_audit.chain import is_authentic
from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.control import Tombstone, claimed_tombstone, read_tombstone
from foliotrace_audit.errors import TombstoneForged
from foliotrace_audit.files import CHECKPOINT_FILE, has_writer, segments, tombstones
from foliotrace_audit.keys import MacKey
from foliotrace_audit.record import MAX_LINE_BYTES
from foliotrace_audit.verify.evidence import read_checkpoint_files
from foliotrace_audit.verify.segment_scan import ScanTask
from foliotrace_audit.verify.verdict import TamperFinding, TamperKind

_LINES_TO_FIND_KEY = 3


@dataclass(frozen=True, slots=True)
class StreamReading:
    """A stream's files. `keys` holds the chain key of each segment, None if it is unknown.

    `tombstones` holds None for a tombstone that no known key wrote; `claims` has what such a one
    says, and the id of the key that it names.
    """

    folder: Path
    is_live: bool
    local: tuple[Checkpoint, ...]
    findings: tuple[TamperFinding, ...]
    notes: tuple[str, ...]
    segments: Mapping[int, Path]
    keys: Mapping[int, MacKey | None]
    tombstones: Mapping[int, Tombstone | None]
    claims: Mapping[int, tuple[Tombstone, str]]

    @property
    def name(self) -> str:
        """The stream's name: its folder's."""
        return self.folder.name

    def tasks(self, external: Iterable[Checkpoint]) -> list[ScanTask]:
        """One task for each segment, with the lengths that the stream's checkpoints state."""
        by_segment: dict[int, list[Checkpoint]] = defaultdict(list)
        for checkpoint in (*self.local, *external):
            by_segment[checkpoint.segment].append(checkpoint)
        tasks = []
        for number, path in self.segments.items():
            key = self.keys[number]
            about = by_segment.get(number, ())
            tasks.append(
                ScanTask(
                    path=path,
                    secret=key.secret if key else None,
                    wanted_sizes=tuple({c.segment_bytes for c in about if c.segment_bytes >= 0}),
                )
            )
        return tasks


def read_stream(folder: Path, chain_keys: Mapping[str, MacKey]) -> StreamReading:
    """Read the small files of a stream, and list its segments. Raises OSError.

    The checkpoints are read first: a living writer may append meanwhile, and a checkpoint newer
    than the records that were read would look like a truncation.
    """
    is_live = has_writer(folder)
    file = folder / CHECKPOINT_FILE
    local, bad_lines, notes = read_checkpoint_files([file] if file.exists() else [])
    numbered = segments(folder)
    removed, claims, forged = _read_tombstones(folder, chain_keys)
    return StreamReading(
        folder=folder,
        is_live=is_live,
        local=local,
        findings=(*(replace(f, stream=folder.name) for f in bad_lines), *forged),
        notes=() if is_live else notes,
        segments=numbered,
        keys={number: segment_key(path, chain_keys) for number, path in numbered.items()},
        tombstones=removed,
        claims=claims,
    )


def _read_tombstones(
    folder: Path, chain_keys: Mapping[str, MacKey]
) -> tuple[dict[int, Tombstone | None], dict[int, tuple[Tombstone, str]], list[TamperFinding]]:
    removed: dict[int, Tombstone | None] = {}
    claims: dict[int, tuple[Tombstone, str]] = {}
    forged = []
    for number, path in tombstones(folder).items():
        try:
            content = path.read_bytes()
            removed[number] = read_tombstone(content, chain_keys)
            if removed[number] is None:
                claims[number] = claimed_tombstone(content)
        except TombstoneForged as error:
            removed[number] = None
            finding = TamperFinding(
                TamperKind.MISSING_SEGMENT, folder.name, number, None, str(error)
            )
            forged.append(finding)
    return removed, claims, forged


def segment_key(path: Path, chain_keys: Mapping[str, MacKey]) -> MacKey | None:
    """The key that the first record names; if that is unknown, the one that fits the records.

    The first record may be damaged or forged, which must not hide what the others prove.
    """
    with path.open("rb") as file:
        lines = [file.readline(MAX_LINE_BYTES) for _ in range(_LINES_TO_FIND_KEY)]
    named = chain_keys.get(str(control.parse(lines[0]).get("chain_key_id")))
    if named is not None:
        return named
    for key in chain_keys.values():
        if any(is_authentic(line, key.hmac()) for line in lines):
            return key
    return None
