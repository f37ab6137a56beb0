"""The bus over an MQTT broker."""

from __future__ import annotations

import threading
import uuid

import paho.mqtt.client as paho

from alicia.bus import Handler, matches
from alicia.settings import Settings

AT_LEAST_ONCE = 1


class MqttError(ConnectionError):
    """The broker cannot be reached, refuses us, or does not answer in time."""


class MqttBus:
    """One connection to the broker; reconnects and subscribes again by itself."""

    def __init__(self, settings: Settings, timeout: float = 10.0) -> None:
        """Connect, and wait at most `timeout` seconds for the broker's answer."""
        self._timeout = timeout
        self._lock = threading.Lock()
        self._handlers: list[tuple[str, Handler]] = []
        self._waiting: dict[int, threading.Event] = {}
        self._connected = threading.Event()
        self._refused: str | None = None
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=f"alicia-{uuid.uuid4().hex[:16]}"
        )
        if settings.mqtt_username is not None:
            self._client.username_pw_set(settings.mqtt_username, settings.mqtt_password)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        place = f"{settings.mqtt_host}:{settings.mqtt_port}"
        try:
            self._client.connect(settings.mqtt_host, settings.mqtt_port)
        except OSError as error:
            raise MqttError(f"failed to reach the broker at {place}: {error}") from error
        self._client.loop_start()
        if not self._connected.wait(timeout) or self._refused is not None:
            self.close()
            reason = self._refused or f"no answer within {timeout} s"
            raise MqttError(f"failed to connect to the broker at {place}: {reason}")

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a message to the broker, at least once."""
        self._client.publish(topic, payload, qos=AT_LEAST_ONCE, retain=retain)

    def subscribe(self, pattern: str, handler: Handler) -> None:
        """Subscribe and wait for the broker's answer; not for use in a handler."""
        done = threading.Event()
        with self._lock:  # Held across the call, so that the answer cannot overtake us.
            _, message = self._client.subscribe(pattern, qos=AT_LEAST_ONCE)
            if message is None:
                raise MqttError(f"failed to subscribe to {pattern}: not connected")
            self._handlers.append((pattern, handler))
            self._waiting[message] = done
        if not done.wait(self._timeout):
            raise MqttError(f"failed to subscribe to {pattern}: no answer in {self._timeout} s")

    def unsubscribe(self, pattern: str, handler: Handler) -> None:
        """Remove a handler, and the subscription if it was the last one."""
        with self._lock:
            self._handlers = [item for item in self._handlers if item != (pattern, handler)]
            last = all(pattern != other for other, _ in self._handlers)
        if last:
            self._client.unsubscribe(pattern)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client, _data, _flags, reason, _properties) -> None:
        self._refused = str(reason) if reason.is_failure else None
        with self._lock:
            patterns = {pattern for pattern, _ in self._handlers}
        for pattern in patterns:
            client.subscribe(pattern, qos=AT_LEAST_ONCE)
        self._connected.set()

    def _on_subscribe(self, _client, _data, message, _reasons, _properties) -> None:
        with self._lock:
            waiting = self._waiting.pop(message, None)
        if waiting is not None:
            waiting.set()

    def _on_message(self, _client, _data, message) -> None:
        with self._lock:
            handlers = [call for pattern, call in self._handlers if matches(pattern, message.topic)]
        for handler in handlers:
            handler(message.topic, message.payload)
