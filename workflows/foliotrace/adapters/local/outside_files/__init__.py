"""Files that a start event names: by a path under an allowed folder, or by a URL."""

from contextlib import AbstractAsyncContextManager

from foliotrace.adapters.local.outside_files.folders import AllowedFolders
from foliotrace.adapters.local.outside_files.urls import AllowedHosts
from foliotrace.ports import OutsideFile
from foliotrace.settings import OutsideFileSettings


class AllowedFiles:
    """What the settings allow; the default allows nothing. See the port."""

    def __init__(self, settings: OutsideFileSettings) -> None:
        self._folders = AllowedFolders(settings.folders)
        self._hosts = AllowedHosts(settings)

    def open(self, path: str) -> AbstractAsyncContextManager[OutsideFile]:
        return self._folders.open(path)

    def fetch(self, url: str) -> AbstractAsyncContextManager[OutsideFile]:
        return self._hosts.fetch(url)
