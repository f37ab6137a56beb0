import pytest

from alicia.bus import matches


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "anything/at/all", True),
        ("a/b/c", "a/b", False),
    ],
)
def test_topics_match_as_in_mqtt(pattern, topic, expected):
    assert matches(pattern, topic) is expected


def test_a_late_subscriber_gets_the_retained_message(local_bus):
    got = []
    local_bus.publish("state/lamp", b"on", retain=True)
    local_bus.publish("state/door", b"open")
    local_bus.subscribe("state/+", lambda topic, payload: got.append((topic, payload)))
    assert got == [("state/lamp", b"on")]


def test_an_empty_retained_message_forgets(local_bus):
    got = []
    local_bus.publish("state/lamp", b"on", retain=True)
    local_bus.publish("state/lamp", b"", retain=True)
    local_bus.subscribe("state/#", lambda topic, payload: got.append(topic))
    assert got == []


def test_an_unsubscribed_handler_is_left_alone(local_bus):
    got = []

    def handler(topic, payload):
        got.append(payload)

    local_bus.subscribe("x", handler)
    local_bus.publish("x", b"1")
    local_bus.unsubscribe("x", handler)
    local_bus.publish("x", b"2")
    assert got == [b"1"]
