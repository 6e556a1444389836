"""Throw-away Python environments for benchmarks, made with uv where it is installed, else pip."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

_INSTALLERS = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}


def make_environment(folder: Path) -> Path:
    """Create an environment in `folder`; its interpreter."""
    if shutil.which("uv"):
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    else:
        venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def install(python: Path, *requirements: str) -> subprocess.CompletedProcess[str]:
    """Install `requirements` (pip's arguments) into the environment of `python`."""
    if shutil.which("uv"):
        command = ["uv", "pip", "install", "-q", "--link-mode", "copy", "--python", str(python)]
    else:
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    return subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)


def size_mb(folder: Path) -> float:
    """Size of an environment without bytecode, links and what `venv` puts into it."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    counted = (f for f in files if f.suffix != ".pyc" and _INSTALLERS.isdisjoint(f.parts))
    return round(sum(file.stat().st_size for file in counted) / 1e6, 1)
