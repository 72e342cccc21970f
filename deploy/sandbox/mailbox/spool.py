"""Where mails lie: at once in one spool, later, when it is quiet, as files that a person can open.

Creating a file costs the system nearly a millisecond of CPU here; appending to one costs next to nothing. So nothing is split while
mails pour in.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path

from deploy.sandbox.mailbox.rendering import render


class Spool:
    """One folder of mails. `keep` only buffers; `flush` writes; `unfold` makes the files. Only the owner may read any of it."""

    def __init__(self, folder: Path, *, rendered_mails: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._rendered_mails = rendered_mails
        self._descriptor = os.open(folder / "spool", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._buffer: list[bytes] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._folded: deque[str] = deque()
        self._length = 0

    def keep(self, stem: str, mail: bytes) -> None:
        """Keep a mail under the name its files will have."""
        self._places[stem] = (self._length, len(mail))
        self._length += len(mail)
        self._buffer.append(mail)
        self._folded.append(stem)

    def flush(self) -> None:
        """Write what is buffered; safe to repeat."""
        if self._buffer:
            text = memoryview(b"".join(self._buffer))
            self._buffer.clear()
            while text:
                text = text[os.write(self._descriptor, text) :]

    def read(self, stem: str) -> bytes:
        """A mail as it came; KeyError for one that was not kept."""
        self.flush()
        start, length = self._places[stem]
        return os.pread(self._descriptor, length, start)

    def unfold(self, seconds: float) -> None:
        """Make files of the mails that have none yet, oldest first, for about so long: `.eml`, `.html` and `.txt`."""
        until = time.monotonic() + seconds
        while self._folded and time.monotonic() < until:
            stem = self._folded.popleft()
            mail = self.read(stem)
            self._write(f"{stem}.eml", mail)
            if self._rendered_mails > 0:
                self._rendered_mails -= 1
                for extension, content in render(mail).items():
                    self._write(f"{stem}.{extension}", content)

    def empty(self) -> None:
        """Forget every mail and remove its files."""
        self._buffer.clear()
        self._folded.clear()
        for stem in self._places:
            for extension in ("eml", "html", "txt"):
                (self._folder / f"{stem}.{extension}").unlink(missing_ok=True)
        self._places.clear()
        self._length = 0
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def _write(self, file_name: str, content: bytes) -> None:
        """All of a file or nothing: who finds it by its name reads it whole."""
        draft = self._folder / f"{file_name}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
        draft.replace(self._folder / file_name)
