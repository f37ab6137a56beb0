"""The services; each module here is discovered, none is registered."""

from __future__ import annotations

import importlib
import pkgutil

from alicia.service import Service


def discover() -> dict[str, type[Service]]:
    """Import the modules of this package and return their services by name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    ours = [kind for kind in _descendants(Service) if kind.__module__.startswith(f"{__name__}.")]
    return {kind.name: kind for kind in ours}


def _descendants(kind: type[Service]) -> list[type[Service]]:
    children = kind.__subclasses__()
    return children + [grandchild for child in children for grandchild in _descendants(child)]
