"""``arb serve``: the server of the application, until a signal ends it."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable

import uvicorn

from adapters.web.app import create_app
from adapters.web.serving import Serving
from engine.errors import UserError

GRACE_SECONDS = 1
MOST_CONNECTIONS = 512
WAITING = 128


class _Server(uvicorn.Server):
    """Ends the streams of events first: they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: object) -> None:
        """A signal came."""
        self._stop()
        # Requests that are cut off now are cut off on purpose; each would be told with a traceback.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)  # type: ignore[arg-type]  # the library's own


def serve(serving: Serving, tell: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM; ``tell`` hears when it can be asked. Raises ``UserError`` for a taken port."""
    with _listening(serving.host, serving.port) as listening:
        app = create_app(serving)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="on",
            timeout_graceful_shutdown=GRACE_SECONDS, limit_concurrency=MOST_CONNECTIONS,
        )  # fmt: skip
        tell(f"http://{_shown(serving.host)}:{serving.port}{serving.root_path}/ shows {serving.state}; Ctrl-C ends it")
        _Server(config, app.state.poller.close).run(sockets=[listening])


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family)
    except OSError as error:
        raise UserError(f"--host {host}: {error.strerror}") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        taken = f"port {port} is in use; give another --port"
        raise UserError(taken if error.errno == errno.EADDRINUSE else f"{host}:{port}: {error.strerror}") from None
    made.listen(WAITING)
    return made
