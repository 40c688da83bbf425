"""Messages to a webhook, from a thread of its own: the hour never waits for it."""

from __future__ import annotations

import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

from tenacity import Retrying, stop_after_attempt, wait_exponential

from adapters.paper.messages import Message
from adapters.paper.settings import NotifySettings

LONGEST_WAIT_SECONDS = 60
QUEUE_LENGTH = 1000


class Notifier:
    """Posts ``{"text": ...}`` (and the same as ``content``, which some chats want) for the chosen occasions.

    ``complain`` hears in one line of a message that could not be delivered. Without a URL nothing happens.
    """

    def __init__(self, settings: NotifySettings, complain: Callable[[str], None], *, wait_seconds: float = 1.0) -> None:
        self._settings, self._complain, self._wait = settings, complain, wait_seconds
        self._messages: queue.Queue[Message | None] = queue.Queue(QUEUE_LENGTH)
        self._thread: threading.Thread | None = None
        if settings.url is not None:
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
                self._complain(f"notification not delivered ({type(error).__name__}: {error}): {message.text}")

    def _retrying(self) -> Retrying:
        wait = wait_exponential(multiplier=self._wait, max=LONGEST_WAIT_SECONDS)
        return Retrying(stop=stop_after_attempt(self._settings.attempts), wait=wait, reraise=True)

    def _post(self, message: Message) -> None:
        body = {"text": message.text, "content": message.text, "occasion": message.occasion}
        request = urllib.request.Request(
            self._settings.url or "", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._settings.timeout_seconds) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise
