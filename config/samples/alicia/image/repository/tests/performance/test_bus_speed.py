import time

import pytest

from alicia.bus import LocalBus
from alicia.service import Caller
from alicia.services.echo import EchoService

pytestmark = pytest.mark.performance


def test_ten_thousand_messages_pass_within_two_seconds():
    bus, count = LocalBus(), 0

    def handler(topic, payload):
        nonlocal count
        count += 1

    bus.subscribe("load/+", handler)
    begin = time.perf_counter()
    for number in range(10_000):
        bus.publish(f"load/{number}", b"x")
    assert count == 10_000
    assert time.perf_counter() - begin < 2.0


@pytest.mark.mqtt
def test_the_median_call_over_the_broker_takes_less_than_250_ms(mqtt_bus):
    service, caller = EchoService(mqtt_bus), Caller(mqtt_bus)
    service.start()
    times = []
    for number in range(21):
        begin = time.perf_counter()
        assert caller.call("echo", "say", {"n": number}) == {"n": number}
        times.append(time.perf_counter() - begin)
    service.stop()
    assert sorted(times)[10] < 0.25
