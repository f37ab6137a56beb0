"""Settings of a service, read once from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

HIGHEST_PORT = 65535


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it."""


@dataclass(frozen=True)
class Settings:
    """Where the broker is and who we are to it."""

    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 1883
    mqtt_username: str | None = None
    mqtt_password: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `env`, by default the process environment."""
        source = os.environ if env is None else env
        return cls(
            mqtt_host=source.get("MQTT_HOST", cls.mqtt_host),
            mqtt_port=_port(source, "MQTT_PORT", cls.mqtt_port),
            mqtt_username=source.get("MQTT_USERNAME"),
            mqtt_password=source.get("MQTT_PASSWORD"),
        )


def _port(source: Mapping[str, str], name: str, default: int) -> int:
    text = source.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= HIGHEST_PORT:
        raise SettingsError(f"{name} must be a port from 1 to {HIGHEST_PORT}, not {text!r}")
    return int(text)
