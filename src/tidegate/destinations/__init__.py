"""Destinations: tables and folders, and the one atomic commit of every load."""

from tidegate.destinations.commit import Commit
from tidegate.destinations.strategy import LoadStrategy, strategy_registry
from tidegate.destinations.table import BaseTable, table_registry

__all__ = ["BaseTable", "Commit", "LoadStrategy", "strategy_registry", "table_registry"]
