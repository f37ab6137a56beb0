"""What tests share: a local bus, and a bus over the real broker."""

import pytest

from alicia.bus import LocalBus
from alicia.mqtt import MqttBus
from alicia.settings import Settings


@pytest.fixture
def local_bus():
    return LocalBus()


@pytest.fixture
def mqtt_bus():
    bus = MqttBus(Settings.from_env())
    yield bus
    bus.close()
