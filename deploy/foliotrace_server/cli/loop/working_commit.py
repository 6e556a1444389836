"""Which commit an experiment belongs to."""

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit of the working folder; `dirty` if it holds changes that are not committed."""

    sha: str | None
    dirty: bool


def current_commit() -> Commit:
    """The commit of the working folder, or none outside a repository or without git."""
    sha = _git("rev-parse", "HEAD")
    return Commit(sha, bool(sha and _git("status", "--porcelain")))


def merge_base(branch: str) -> str | None:
    """The commit at which the working folder left `branch`; None if there is none."""
    return _git("merge-base", "HEAD", branch)


def _git(*words: str) -> str | None:
    try:
        ended = subprocess.run(  # noqa: S603 - no shell, fixed words and a branch name
            ["git", *words],  # noqa: S607 - the git of the user's path
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() or None if ended.returncode == 0 else None
