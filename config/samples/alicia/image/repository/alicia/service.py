"""Services and how they call each other over the bus."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from alicia.bus import Bus

Body = dict[str, object]
Operation = Callable[[Body], Body]


class CallError(RuntimeError):
    """A called operation refused, failed, or did not answer in time."""


class Service:
    """A named set of operations; a subclass sets `name` and `operations`."""

    name = ""
    workers = 4

    def __init__(self, bus: Bus) -> None:
        """Remember the bus; nothing happens before `start`."""
        self.bus = bus
        self._pool: ThreadPoolExecutor | None = None

    def operations(self) -> dict[str, Operation]:
        """Return the operations others may call, by name."""
        return {}

    def start(self) -> None:
        """Begin to answer calls."""
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix=self.name)
        for operation in self.operations():
            self.bus.subscribe(request_topic(self.name, operation), self._accept)

    def stop(self) -> None:
        """Stop to answer, after the calls under way have ended."""
        for operation in self.operations():
            self.bus.unsubscribe(request_topic(self.name, operation), self._accept)
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _accept(self, topic: str, payload: bytes) -> None:
        # A handler must not block the bus, so the work is done elsewhere.
        if self._pool is not None:
            self._pool.submit(self._answer, topic, payload)

    def _answer(self, topic: str, payload: bytes) -> None:
        try:
            request = json.loads(payload)
            call, reply_to = str(request["id"]), str(request["reply_to"])
        except (ValueError, KeyError, TypeError):
            return  # There is nobody to tell.
        try:
            operation = self.operations()[topic.split("/")[2]]
            reply = {"id": call, "ok": True, "body": operation(dict(request.get("body") or {}))}
        except Exception as error:
            reply = {"id": call, "ok": False, "error": f"{type(error).__name__}: {error}"}
        self.bus.publish(reply_to, json.dumps(reply).encode())


class Caller:
    """Calls operations of other services and waits for their answers."""

    def __init__(self, bus: Bus) -> None:
        """Subscribe to a reply topic of our own."""
        self._bus = bus
        self._topic = f"alicia/reply/{uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._open: dict[str, tuple[threading.Event, Body]] = {}
        bus.subscribe(self._topic, self._accept)

    def call(self, service: str, operation: str, body: Body, timeout: float = 5.0) -> Body:
        """Call and wait; raises `CallError` if refused or after `timeout` seconds."""
        call, done, answer = uuid.uuid4().hex, threading.Event(), {}
        with self._lock:
            self._open[call] = (done, answer)
        request = {"id": call, "reply_to": self._topic, "body": body}
        try:
            self._bus.publish(request_topic(service, operation), json.dumps(request).encode())
            if not done.wait(timeout):
                raise CallError(f"{service}.{operation} did not answer within {timeout} s")
        finally:
            with self._lock:
                self._open.pop(call, None)
        if not answer.get("ok"):
            raise CallError(f"{service}.{operation} failed: {answer.get('error')}")
        return dict(answer.get("body") or {})

    def close(self) -> None:
        """Give the reply topic back."""
        self._bus.unsubscribe(self._topic, self._accept)

    def _accept(self, _topic: str, payload: bytes) -> None:
        try:
            reply = json.loads(payload)
            with self._lock:
                waiting = self._open.get(str(reply["id"]))
        except (ValueError, KeyError, TypeError):
            return
        if waiting is not None:
            waiting[1].update(reply)
            waiting[0].set()


def request_topic(service: str, operation: str) -> str:
    """Return the topic on which an operation is called."""
    return f"alicia/{service}/{operation}/request"
