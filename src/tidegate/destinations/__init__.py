"""Destinations: tables and folders, and the one atomic commit of every load."""

from tidegate.destinations.commit import BaseTable, Commit, LoadStrategy, strategy_registry, table_registry

__all__ = ["BaseTable", "Commit", "LoadStrategy", "strategy_registry", "table_registry"]
