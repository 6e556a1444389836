"""What `foliotrace serve` does to its process: the fast event loop, and a collector that rests."""

import subprocess
import sys
from pathlib import Path

_SERVE = """
import gc, os, signal, sys, threading, time, urllib.error, urllib.request
from foliotrace_server import serve
from foliotrace_server.settings import Settings

def watch(url):
    while True:
        try:
            urllib.request.urlopen(url + "/healthz").read()
            break
        except urllib.error.URLError:
            time.sleep(0.02)
    with open("state", "w") as state:
        print(gc.isenabled(), gc.get_freeze_count() > 10_000, "uvloop" in sys.modules, file=state)
    os.kill(os.getpid(), signal.SIGTERM)

def bound(settings, bind=serve.bind):
    listening = bind(settings)
    threading.Thread(target=watch, args=[serve.url_of(listening)], daemon=True).start()
    return listening

serve.bind = bound
settings = Settings()
server = settings.server.model_copy(update={"port": 0})
serve.serve(settings.model_copy(update={"server": server}))
"""


def test_what_was_there_when_the_service_was_ready_is_never_walked_again(tmp_path: Path) -> None:
    served = subprocess.run(
        [sys.executable, "-c", _SERVE],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "FOLIOTRACE_LOG__LEVEL": "error"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    on_uvloop = str(sys.platform != "win32")
    assert (tmp_path / "state").exists(), served.stderr
    assert (tmp_path / "state").read_text().split() == ["True", "True", on_uvloop]
