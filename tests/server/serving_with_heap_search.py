"""`foliotrace serve` that searches its own memory on request, for the tests of deletion.

`python -m tests.server.serving_with_heap_search FOLDER PORT REVERSED_WORD`. Whenever FOLDER/search
appears it is replaced by FOLDER/found, which holds one line for each object with the word in it.
The word arrives reversed, so that the process does not hold it by itself.
"""

import gc
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from foliotrace_server.cli import main

_EXPLAINED = 3  # holders whose own holders are looked for: each walks the heap


def holders(word: str) -> list[str]:
    """What in the heap refers to a text with the word: type of the holder, and of the text."""
    gc.collect()
    gc.unfreeze()
    found = []
    seen: set[int] = set()
    for tracked in gc.get_objects():
        for holder, text in _texts(tracked, seen):
            if word in text.lower():
                line = f"{type(text).__name__} in {_name(holder)}"
                if len(found) < _EXPLAINED:
                    line += f" in {[_name(each) for each in gc.get_referrers(holder)][:8]}"
                found.append(line)
    return found


def _name(thing: object) -> str:
    named = getattr(thing, "__qualname__", "")
    return f"{type(thing).__module__}.{type(thing).__qualname__} {named}"


def _texts(tracked: object, seen: set[int]) -> Iterator[tuple[object, str]]:
    """(holder, text) of what an object refers to, through containers that are not tracked."""
    waiting = [tracked]
    while waiting:
        holder = waiting.pop()
        for held in gc.get_referents(holder):
            if isinstance(held, str):
                yield holder, held
            elif isinstance(held, bytes | bytearray):
                yield holder, held.decode("latin-1")
            elif not gc.is_tracked(held) and id(held) not in seen:
                seen.add(id(held))
                waiting.append(held)


def _search(folder: Path, reversed_word: str) -> None:
    while True:
        if (folder / "search").exists():
            lines = holders(reversed_word[::-1])
            (folder / "found.new").write_text("\n".join(lines))
            (folder / "search").unlink()
            (folder / "found.new").rename(folder / "found")
        time.sleep(0.02)


if __name__ == "__main__":
    _, folder, port, reversed_word = sys.argv
    threading.Thread(target=_search, args=[Path(folder), reversed_word], daemon=True).start()
    main(["--data-dir", f"{folder}/data", "serve", "--port", port])
