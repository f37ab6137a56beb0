"""The smallest service: it says what it was told."""

from __future__ import annotations

from alicia.service import Body, Operation, Service


class EchoService(Service):
    """Answers every call with the body of the call."""

    name = "echo"

    def operations(self) -> dict[str, Operation]:
        """Offer `say`."""
        return {"say": self.say}

    def say(self, body: Body) -> Body:
        """Return the body as it came."""
        return body
