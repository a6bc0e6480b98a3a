"""Engines: who evaluates frames."""

from tidegate.engines.base import BaseEngine, engine_registry

__all__ = ["BaseEngine", "engine_registry"]
