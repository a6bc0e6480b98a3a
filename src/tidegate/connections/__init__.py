"""Connections: live clients of what connections declare."""

from tidegate.connections.database import Database, Session, TableTraits, database_of, database_registry
from tidegate.connections.dialect import Dialect

__all__ = ["Database", "Dialect", "Session", "TableTraits", "database_of", "database_registry"]
