"""Sources: what is read."""

from tidegate.sources.base import BaseSource, OpenRead, ReadPlan, source_registry

__all__ = ["BaseSource", "OpenRead", "ReadPlan", "source_registry"]
