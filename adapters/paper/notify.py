"""Messages to a webhook, from a thread of its own: the hour never waits for it.

The address is a secret. What goes wrong is told by its kind alone, since errors, and what servers answer, repeat it.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus

from tenacity import Retrying, stop_after_attempt, wait_exponential

from adapters.paper.messages import Message
from adapters.paper.settings import NotifySettings

LONGEST_WAIT_SECONDS = 60
QUEUE_LENGTH = 1000
LONGEST_ANSWER = 65_536
"""Bytes; nothing depends on what is answered."""


class Notifier:
    """Posts ``{"text": ...}`` (and the same as ``content``, which some chats want) for the chosen occasions.

    ``complain`` hears in one line of a message that could not be delivered. Without a URL nothing happens.
    """

    def __init__(self, settings: NotifySettings, complain: Callable[[str], None], *, wait_seconds: float = 1.0) -> None:
        self._settings, self._complain, self._wait = settings, complain, wait_seconds
        self._messages: queue.Queue[Message | None] = queue.Queue(QUEUE_LENGTH)
        self._thread: threading.Thread | None = None
        if settings.url is not None:
            # A daemon: a webhook that hangs must not keep the service from ending.
            self._thread = threading.Thread(target=self._deliver, name="notifications", daemon=True)
            self._thread.start()

    def send(self, message: Message) -> None:
        """Take a message to deliver, if anybody wants it. Returns at once."""
        if self._thread is None or message.occasion not in self._settings.events:
            return
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            self._complain(f"notification dropped, {QUEUE_LENGTH} are waiting: {message.text}")

    def close(self, seconds: float) -> None:
        """Deliver what waits, for at most so long."""
        if self._thread is not None:
            try:
                self._messages.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(seconds)

    def _deliver(self) -> None:
        while (message := self._messages.get()) is not None:
            try:
                self._retrying()(self._post, message)
            except Exception as error:  # whatever a webhook does must not end the thread
                self._complain(f"notification not delivered ({kind_of(error)}): {message.text}")

    def _retrying(self) -> Retrying:
        wait = wait_exponential(multiplier=self._wait, max=LONGEST_WAIT_SECONDS)
        return Retrying(stop=stop_after_attempt(self._settings.attempts), wait=wait, reraise=True)

    def _post(self, message: Message) -> None:
        body = {"text": message.text, "content": message.text, "occasion": message.occasion}
        assert self._settings.url is not None  # no thread without one
        address, content = self._settings.url.get_secret_value(), json.dumps(body).encode()
        request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
        try:
            with _opener().open(request, timeout=self._settings.timeout_seconds) as answer:
                # A bound, because an answer without an end would hold the thread and fill the memory.
                answer.read(LONGEST_ANSWER)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Nothing is sent to, and nothing is told of, another address than the one that was given."""

    def redirect_request(self, *_: object) -> None:
        """No request: the answer counts as an error."""


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirects)


def kind_of(error: BaseException) -> str:
    """What went wrong, in words that are not the error's own: its status, what the system says, or its class."""
    if isinstance(error, urllib.error.HTTPError):
        known = {status.value: f" {status.phrase}" for status in HTTPStatus}
        return f"HTTP {error.code}{known.get(error.code, '')}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return kind_of(error.reason)
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return type(error).__name__
