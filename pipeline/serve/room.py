"""How much uploads may take on the disk, all together."""

from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MOST_BYTES = 10_000_000_000


class Room:
    """Refuses uploads (507) while those that are there take `most` bytes or more.

    Parameters
    ----------
    app : what answers everything else
    folder : where uploads lie, until they are forgotten
    """

    def __init__(self, app: ASGIApp, folder: Path, most: int = MOST_BYTES) -> None:
        self._app, self._folder, self._most = app, folder, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = self._app
        if scope["type"] == "http" and scope["path"].endswith("/upload") and self._is_full():
            answer = PlainTextResponse(
                f"The uploads here take {self._most:,} bytes or more: they go after some hours, or "
                "when the page is started anew.",
                507,
            )
        await answer(scope, receive, send)

    def _is_full(self) -> bool:
        sizes = (path.lstat().st_size for path in self._folder.rglob("*") if path.is_file())
        try:
            return sum(sizes) >= self._most
        except FileNotFoundError:  # one that was forgotten meanwhile
            return self._is_full()
