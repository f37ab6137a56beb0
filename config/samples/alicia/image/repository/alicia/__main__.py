"""`python3 -m alicia NAME` runs one service until it is told to stop."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from alicia.mqtt import MqttBus, MqttError
from alicia.services import discover
from alicia.settings import Settings, SettingsError


def main() -> int:
    """Run the named service; returns the exit code."""
    services = discover()
    parser = argparse.ArgumentParser(prog="alicia", description=__doc__)
    parser.add_argument("service", choices=sorted(services))
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        bus = MqttBus(Settings.from_env())
    except (MqttError, SettingsError) as error:
        print(f"alicia {arguments.service}: {error}", file=sys.stderr)
        return 1
    service = services[arguments.service](bus)
    service.start()
    stop.wait()
    service.stop()
    bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
