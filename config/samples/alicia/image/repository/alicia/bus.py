"""The bus: what every service knows of the world around it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

Handler = Callable[[str, bytes], None]


class Bus(Protocol):
    """Publish and subscribe with the topic rules of MQTT."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a message; a retained one is kept for later subscribers."""

    def subscribe(self, pattern: str, handler: Handler) -> None:
        """Call `handler` for each message that matches; it must not block."""

    def unsubscribe(self, pattern: str, handler: Handler) -> None:
        """Stop calling `handler` for this pattern."""


def matches(pattern: str, topic: str) -> bool:
    """Say whether a topic matches a pattern with the wildcards `+` and `#`."""
    wanted, given = pattern.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)


class LocalBus:
    """A bus inside one process, for tests and for a single machine."""

    def __init__(self) -> None:
        """Start without subscribers and without retained messages."""
        self._lock = threading.Lock()
        self._handlers: list[tuple[str, Handler]] = []
        self._retained: dict[str, bytes] = {}

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Deliver at once, on the caller's thread; empty and retained forgets."""
        with self._lock:
            if retain and payload:
                self._retained[topic] = payload
            elif retain:
                self._retained.pop(topic, None)
            handlers = [handler for pattern, handler in self._handlers if matches(pattern, topic)]
        for handler in handlers:
            handler(topic, payload)

    def subscribe(self, pattern: str, handler: Handler) -> None:
        """Add a handler and hand it the retained messages that match."""
        with self._lock:
            self._handlers.append((pattern, handler))
            kept = [item for item in self._retained.items() if matches(pattern, item[0])]
        for topic, payload in kept:
            handler(topic, payload)

    def unsubscribe(self, pattern: str, handler: Handler) -> None:
        """Remove a handler; one that is not there is no error."""
        with self._lock:
            self._handlers = [item for item in self._handlers if item != (pattern, handler)]
