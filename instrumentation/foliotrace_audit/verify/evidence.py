"""Evidence for a verification: keys and checkpoints, and whether they come from outside the log.

Whoever can change the log can also change what lies beside it, so a public key or a checkpoint in
the log's own folder proves nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foliotrace_audit.checkpoint import Checkpoint, numbered_lines, read_checkpoint
from foliotrace_audit.errors import CheckpointUnreadable
from foliotrace_audit.keys import MacKey, VerifyKey, read_chain_keys, read_public_keys
from foliotrace_audit.verify.verdict import TamperFinding, TamperKind


@dataclass(frozen=True, slots=True)
class Evidence:
    """Chain keys and public keys by id, and checkpoints that the log's writer cannot reach.

    `doubts` say why the evidence does not anchor the log: it lies in the log's own folder, or there
    is none. `findings` are lines of checkpoint files that are not checkpoints.
    """

    chain_keys: Mapping[str, MacKey] = field(repr=False)
    public_keys: Mapping[str, VerifyKey]
    checkpoints: tuple[Checkpoint, ...]
    doubts: tuple[str, ...]
    findings: tuple[TamperFinding, ...]
    notes: tuple[str, ...]


def read_evidence(
    log_folder: Path,
    *,
    key_folder: Path | None,
    public_keys: Sequence[Path],
    checkpoints: Sequence[Path],
) -> Evidence:
    """Read keys and checkpoints. Without `public_keys`, those of `key_folder` are used.

    Raises AuditKeyUnusable, OSError.
    """
    chain_keys = read_chain_keys(key_folder) if key_folder is not None else {}
    public_paths = list(public_keys) or ([key_folder] if key_folder is not None else [])
    found, findings, notes = read_checkpoint_files(checkpoints, read=numbered_lines)
    public = {key.id: key for key in read_public_keys(public_paths)}
    doubts = []
    if not public:
        doubts.append("no public key was given")
    elif any(_is_inside(path, log_folder) for path in public_paths):
        doubts.append("the public key lies in the log's own folder")
    if not found:
        doubts.append("no checkpoints from outside the log's folder were given")
    elif any(_is_inside(path, log_folder) for path in checkpoints):
        doubts.append("the checkpoints lie in the log's own folder")
    return Evidence(chain_keys, public, found, tuple(doubts), findings, notes)


def _every_line(lines: Sequence[bytes]) -> Iterable[tuple[int, bytes]]:
    return enumerate(lines, 1)


def read_checkpoint_files(
    paths: Sequence[Path],
    *,
    read: Callable[[Sequence[bytes]], Iterable[tuple[int, bytes]]] = _every_line,
) -> tuple[tuple[Checkpoint, ...], tuple[TamperFinding, ...], tuple[str, ...]]:
    """(checkpoints, findings, notes) of files and of the `*.jsonl` in folders. Raises OSError.

    `read` finds the numbered signed lines among a file's lines; by default every line is one.
    """
    found: list[Checkpoint] = []
    findings, notes = [], []
    for path in paths:
        for file in _checkpoint_files(path):
            *lines, torn = file.read_bytes().split(b"\n")
            if torn:  # a writer was killed while it sent a checkpoint, or is sending one now
                notes.append(f"{file.name}: its last line is incomplete and was left out")
            for number, line in read(lines):
                try:
                    found.append(read_checkpoint(line))
                except CheckpointUnreadable as error:
                    detail = f"{file.name}:{number}: {error}"
                    findings.append(
                        TamperFinding(TamperKind.BAD_SIGNATURE, file.stem, None, None, detail)
                    )
    return tuple(found), tuple(findings), tuple(notes)


def _checkpoint_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # Copied with its log, a folder also holds segments: 0000.jsonl and so on.
    return sorted(file for file in path.rglob("*.jsonl") if not file.stem.isdecimal())


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
