import pytest

from alicia.service import CallError, Caller, Service
from alicia.services import discover
from alicia.services.echo import EchoService
from alicia.settings import Settings, SettingsError


class Grumpy(Service):
    name = "grumpy"

    def operations(self):
        return {"ask": self.ask}

    def ask(self, body):
        raise ValueError("not today")


def test_an_operation_answers_its_caller(local_bus):
    service = EchoService(local_bus)
    service.start()
    assert Caller(local_bus).call("echo", "say", {"word": "hello"}) == {"word": "hello"}
    service.stop()


def test_a_failed_operation_tells_the_caller_why(local_bus):
    service = Grumpy(local_bus)
    service.start()
    with pytest.raises(CallError, match="not today"):
        Caller(local_bus).call("grumpy", "ask", {})
    service.stop()


def test_an_absent_service_is_a_timeout(local_bus):
    with pytest.raises(CallError, match="did not answer within"):
        Caller(local_bus).call("nobody", "ask", {}, timeout=0.05)


def test_garbage_does_not_stop_a_service(local_bus):
    service = EchoService(local_bus)
    service.start()
    for payload in (b"", b"\xff", b"[]", b"{}", b'{"id": 1}'):
        local_bus.publish("alicia/echo/say/request", payload)
    assert Caller(local_bus).call("echo", "say", {"still": "here"}) == {"still": "here"}
    service.stop()


def test_services_are_discovered():
    assert discover()["echo"] is EchoService


@pytest.mark.mqtt
def test_a_call_travels_over_the_broker(mqtt_bus):
    service = EchoService(mqtt_bus)
    service.start()
    assert Caller(mqtt_bus).call("echo", "say", {"over": "mqtt"}) == {"over": "mqtt"}
    service.stop()


def test_a_wrong_port_is_named():
    with pytest.raises(SettingsError, match="MQTT_PORT"):
        Settings.from_env({"MQTT_PORT": "many"})
