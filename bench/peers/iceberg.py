"""A merge into an Iceberg table, by hand with PyIceberg."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.table import Table

KEY = "id"
NAMESPACE = "default"


def catalog_of(destination: Path) -> SqlCatalog:
    """The catalog beside a table's folder, where Tidegate too keeps it."""
    lake = destination.parent
    return SqlCatalog("default", uri=f"sqlite:///{lake}/catalog.db", warehouse=str(lake))


def load(destination: Path) -> Table:
    """The table of this folder."""
    return catalog_of(destination).load_table((NAMESPACE, destination.name))


def create(destination: Path, source: Path) -> None:
    """Create the table of this folder with the rows of Parquet files."""
    catalog = catalog_of(destination)
    catalog.create_namespace_if_not_exists(NAMESPACE)
    rows = pq.read_table(source)
    table = catalog.create_table((NAMESPACE, destination.name), schema=rows.schema, location=str(destination))
    table.append(rows)


def join_and_overwrite(source: Path, destination: Path) -> None:
    """Read the table, drop what is replaced by a join, and write all rows anew: the quickest that PyIceberg offers."""
    table = load(destination)
    changes = pl.read_parquet(source / "*.parquet")
    old = pl.DataFrame(pl.from_arrow(table.scan().to_arrow()))
    kept = old.lazy().join(changes.lazy().select(KEY), on=KEY, how="anti").select(changes.columns)
    rows = pl.concat([kept, changes.lazy()]).collect()
    table.overwrite(rows.to_arrow().cast(table.schema().as_arrow()))


def upsert(source: Path, destination: Path) -> None:
    """PyIceberg's own way."""
    table = load(destination)
    table.upsert(pq.read_table(source).cast(table.schema().as_arrow()), join_cols=[KEY])
