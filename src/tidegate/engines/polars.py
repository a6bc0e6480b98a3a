"""The Polars engine: streaming, on one machine, the default."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import polars as pl

from tidegate.engines.base import BaseEngine, ColumnCast, Digest, FileGroup, FileScan, FileTarget, Written
from tidegate.engines.digest import digest_expression
from tidegate.engines.meter import AS_READ, comparable, literal
from tidegate.engines.polars_batches import frame_of_batches
from tidegate.engines.polars_errors import locate, translate, without_panic
from tidegate.engines.polars_files import PATH, partition_literal, read_group, storage, write_files
from tidegate.engines.polars_inspection import inspect_file
from tidegate.engines.polars_types import arrow_schema, cast_expression, polars_type
from tidegate.errors import DestinationError
from tidegate.expressions.sql import bind, render_polars
from tidegate.platforms.local import LOCAL

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.engines.base import FileFormat, Frame, TableFile
    from tidegate.engines.meter import Meter
    from tidegate.errors import TidegateError
    from tidegate.expressions.sql import SqlExpression
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW = "__tidegate_row"
_SEED = 0x9E3779B97F4A7C15
_WIDENING = pl.ScanCastOptions(
    integer_cast=["upcast"],
    float_cast=["upcast"],
    datetime_cast=["nanosecond-downcast"],
    missing_struct_fields="insert",
)
"""A table's files may be older than its columns' types."""


class PolarsEngine(BaseEngine):
    """Frames are Polars lazy frames, run by the streaming engine."""

    name = "polars"

    @without_panic
    def inspect(
        self,
        path: str,
        file_format: FileFormat,
        options: Mapping[str, Any],
        settled: Collection[str] = (),
        platform: BasePlatform = LOCAL,
    ) -> dict[str, pa.DataType]:
        """Return the columns of one file with their types; inferred ones for text formats."""
        return inspect_file(path, file_format, options, settled, platform)

    def locate(
        self,
        error: Exception,
        scan: FileScan,
        types: Mapping[str, pa.DataType],
        flow: DataFlow,
        *,
        narrowed: Mapping[str, pa.DataType],
    ) -> TidegateError:
        """Return the failure of a scan with its place; the files are read again for it, after failures of values."""
        return locate(error, scan, types, flow, narrowed)

    def translate(self, error: Exception) -> TidegateError:
        """Return a failure of Polars, or of the file system below it, as one of ours."""
        return translate(error)

    @without_panic
    def scan(self, scan: FileScan) -> Frame:
        """Return the union of the files, in the scan's columns and types."""
        frames = [self._scan_group(group, scan) for group in scan.groups]
        union = frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal")
        missing = [
            pl.lit(None, dtype=polars_type(dtype)).alias(column)
            for column, dtype in scan.columns.items()
            if not any(column in group.columns for group in scan.groups) and column not in scan.per_file
        ]
        return nw.from_native(union.with_columns(missing).select(list(scan.columns)))

    def scan_batches(
        self, batches: Callable[[], Iterator[pa.RecordBatch]], columns: Mapping[str, pa.DataType]
    ) -> Frame:
        """Return rows that come in batches as a frame."""
        return nw.from_native(frame_of_batches(batches, columns))

    def _scan_group(self, group: FileGroup, scan: FileScan) -> pl.LazyFrame:
        frame = read_group(group, with_path=bool(scan.per_file))
        from_file = [
            pl.col(PATH)
            .replace_strict(list(values), list(values.values()), return_dtype=polars_type(scan.columns[column]))
            .alias(column)
            for column, values in scan.per_file.items()
        ]
        widened = [
            cast_expression(column, polars_type(dtype), ColumnCast(type=scan.columns[column]))
            for column, dtype in group.columns.items()
            if column in scan.columns and dtype != scan.columns[column]
        ]
        return frame.with_columns(from_file + widened).drop(PATH, strict=False)

    @without_panic
    def schema(self, frame: Frame) -> dict[str, pa.DataType]:
        """Return the columns of a frame with their types, in order."""
        return arrow_schema(frame.to_native().collect_schema())

    @without_panic
    def cast(self, frame: Frame, casts: Mapping[str, ColumnCast]) -> Frame:
        """Return the frame with columns converted. The conversion is strict."""
        lazy: pl.LazyFrame = frame.to_native()
        schema = lazy.collect_schema()
        return nw.from_native(
            lazy.with_columns(cast_expression(column, schema[column], cast) for column, cast in casts.items())
        )

    @without_panic
    def with_columns(self, frame: Frame, expressions: Mapping[str, SqlExpression]) -> Frame:
        """Return the frame with columns computed by expressions over its columns."""
        lazy: pl.LazyFrame = frame.to_native()
        types = self.schema(frame)
        computed = [_expression(expression, types).alias(column) for column, expression in expressions.items()]
        return nw.from_native(lazy.with_columns(computed))

    def with_constants(self, frame: Frame, values: Mapping[str, str | datetime]) -> Frame:
        """Return the frame with columns that hold one value."""
        lazy: pl.LazyFrame = frame.to_native()
        return nw.from_native(lazy.with_columns(_constant(value).alias(column) for column, value in values.items()))

    @without_panic
    def where(self, frame: Frame, condition: SqlExpression) -> Frame:
        """Return the rows that meet the condition; NULL does not."""
        lazy: pl.LazyFrame = frame.to_native()
        return nw.from_native(lazy.filter(_expression(condition, self.schema(frame))))

    @without_panic
    def metered(self, frame: Frame, meter: Meter) -> Frame:
        """Return the rows past the meter's position, and let the meter see each of them once."""
        lazy: pl.LazyFrame = frame.to_native()
        schema = lazy.collect_schema()
        condition = meter.past_position(schema)
        if condition is not None:
            lazy = lazy.filter(condition)
        metered: pl.LazyFrame = lazy.map_batches(meter, streamable=True, validate_output_schema=False)
        as_read = [name for name in schema if name.startswith(AS_READ)]
        return nw.from_native(metered.drop(as_read) if as_read else metered)

    @without_panic
    def latest(self, frame: Frame, keys: Sequence[str], order: Sequence[str], *, by_rank: bool, scratch: str) -> Frame:
        """Return per key the latest row, found over the narrow columns and fetched by row number."""
        target = FileTarget(folder=scratch, prefix="latest", compression="lz4")
        written = self.write(frame, target)
        if not written.files:
            nothing: pl.LazyFrame = frame.to_native().clear()
            return nw.from_native(nothing)
        staged = pl.scan_parquet([file.path for file in written.files]).with_row_index(_ROW)
        schema = staged.collect_schema()
        winners = staged.select(
            _ROW, *keys, *(pl.col(name).fill_nan(None) if schema[name].is_float() else pl.col(name) for name in order)
        )
        on = list(keys)
        for column in order:
            greatest = winners.group_by(on).agg(pl.col(column).max())
            winners = winners.join(greatest, on=[*on, column], how="semi", nulls_equal=True)
        if not by_rank:
            winners = winners.group_by(on).agg(pl.col(_ROW).max())
        return nw.from_native(staged.join(winners.select(_ROW), on=_ROW, how="semi").drop(_ROW))

    @without_panic
    def write(self, frame: Frame, target: FileTarget) -> Written:
        """Run the frame and write its rows as files; no file for no rows."""
        try:
            return write_files(frame.to_native(), target)
        except OSError as error:
            failure = translate(error)
            if isinstance(failure, DestinationError):
                failure.where = target.folder  # Polars shortens paths
            raise failure from error

    @without_panic
    def read_table(
        self, files: Sequence[TableFile], columns: Mapping[str, pa.DataType], *, path_column: str | None = None
    ) -> Frame:
        """Return the rows of a table's Parquet files, in these columns; one that a file lacks is NULL."""
        types = {name: polars_type(dtype) for name, dtype in columns.items()}
        by_partition: dict[tuple[BasePlatform, tuple[tuple[str, str | None], ...]], list[str]] = {}
        for file in files:
            by_partition.setdefault((file.platform, tuple(file.partition.items())), []).append(file.path)
        frames = [
            pl.scan_parquet(
                paths,
                schema={name: dtype for name, dtype in types.items() if name not in dict(partition)},
                missing_columns="insert",
                extra_columns="ignore",
                cast_options=_WIDENING,
                hive_partitioning=False,
                glob=False,
                include_file_paths=path_column,
                storage_options=storage(platform),
            ).with_columns(
                partition_literal(text, types[name]).alias(name) for name, text in partition if name in types
            )
            for (platform, partition), paths in by_partition.items()
        ]
        wanted = [*columns, *([path_column] if path_column else [])]
        if not frames:
            return nw.from_native(pl.LazyFrame(schema={**types, **({path_column: pl.String} if path_column else {})}))
        return nw.from_native(pl.concat([frame.select(wanted) for frame in frames]))

    @without_panic
    def key_ranges(self, frame: Frame, keys: Sequence[str]) -> dict[str, tuple[Any, Any] | None]:
        """Return smallest and greatest value of each key; None where a key is NULL or NaN somewhere."""
        lazy: pl.LazyFrame = frame.to_native()
        schema = lazy.collect_schema()
        values = [pl.col(key).fill_nan(None) if schema[key].is_float() else pl.col(key) for key in keys]
        parts = [
            part
            for index, value in enumerate(values)
            for part in (
                value.min().alias(f"min{index}"),
                value.max().alias(f"max{index}"),
                value.null_count().alias(f"nulls{index}"),
            )
        ]
        found = lazy.select(parts).collect(engine="streaming").row(0, named=True)
        return {
            key: None if found[f"nulls{index}"] else (found[f"min{index}"], found[f"max{index}"])
            for index, key in enumerate(keys)
        }

    @without_panic
    def repeated_key(self, frame: Frame, keys: Sequence[str]) -> tuple[Any, ...] | None:
        """Return one key that occurs more than once (NULL equals NULL), or None."""
        lazy: pl.LazyFrame = frame.to_native()
        repeated = lazy.group_by(list(keys)).len(_ROW).filter(pl.col(_ROW) > 1).drop(_ROW).head(1)
        rows = repeated.collect(engine="streaming").rows()
        return rows[0] if rows else None

    @without_panic
    def distinct(self, frame: Frame, column: str) -> list[Any]:
        """Return the distinct values of a column."""
        lazy: pl.LazyFrame = frame.to_native()
        return lazy.select(pl.col(column).unique()).collect(engine="streaming").to_series().to_list()

    def matches(self, frame: Frame, batch: Frame, keys: Sequence[str]) -> Frame:
        """Return the rows of `frame` whose key occurs in `batch` (NULL equals NULL)."""
        return _joined(frame, batch, keys, "semi")

    def without_matches(self, frame: Frame, batch: Frame, keys: Sequence[str]) -> Frame:
        """Return the rows of `frame` whose key does not occur in `batch` (NULL equals NULL)."""
        return _joined(frame, batch, keys, "anti")

    @without_panic
    def keeping(self, batch: Frame, old: Frame, keys: Sequence[str], columns: Sequence[str]) -> Frame:
        """Return the batch with `columns` taken from the row of `old` with the same key, where there is one."""
        left: pl.LazyFrame = batch.to_native()
        right: pl.LazyFrame = old.to_native()
        names = left.collect_schema().names()
        kept = {column: f"__tidegate_kept_{index}" for index, column in enumerate(columns)}
        right = right.select(*keys, *columns).unique(list(keys), keep="any").rename(kept)
        joined = left.join(right, on=list(keys), how="left", nulls_equal=True, maintain_order="none")
        values = [
            (pl.coalesce(kept[column], column) if column in names else pl.col(kept[column])).alias(column)
            for column in columns
        ]
        return nw.from_native(joined.with_columns(values).drop(list(kept.values())))

    @without_panic
    def outranked(self, batch: Frame, old: Frame, keys: Sequence[str], order: Sequence[str]) -> Frame:
        """Return the keys of those rows of the batch that a row of `old` with the same key outranks."""
        left: pl.LazyFrame = batch.to_native()
        right: pl.LazyFrame = old.to_native()
        schema = left.collect_schema()
        ranks = [pl.col(name).fill_nan(None) if schema[name].is_float() else pl.col(name) for name in order]
        ours = [rank.alias(f"__tidegate_ours_{index}") for index, rank in enumerate(ranks)]
        theirs = [rank.alias(f"__tidegate_theirs_{index}") for index, rank in enumerate(ranks)]
        pairs = left.select(*keys, *ours).join(
            right.select(*keys, *theirs), on=list(keys), how="inner", nulls_equal=True
        )
        return nw.from_native(pairs.filter(_outranks(len(ranks))).select(keys))

    @without_panic
    def with_content_hash(self, frame: Frame, columns: Sequence[str], name: str) -> Frame:
        """Return the frame with a hash of these columns."""
        lazy: pl.LazyFrame = frame.to_native()
        schema = lazy.collect_schema()
        # NaN has many forms, and zero two signs
        values = [
            (pl.col(column) + 0.0).alias(column) if schema[column].is_float() else pl.col(column) for column in columns
        ]
        content = pl.struct(values).hash(_SEED) if values else pl.lit(0, dtype=pl.UInt64)
        return nw.from_native(lazy.with_columns(content.alias(name)))

    @without_panic
    def with_digests(self, frame: Frame, digests: Mapping[str, Digest]) -> Frame:
        """Return the frame with columns that hold hashes of its columns' canonical text."""
        lazy: pl.LazyFrame = frame.to_native()
        schema = lazy.collect_schema()
        hashed = (digest_expression(digest, schema).alias(column) for column, digest in digests.items())
        return nw.from_native(lazy.with_columns(hashed))

    @without_panic
    def with_neighbours(
        self,
        frame: Frame,
        keys: Sequence[str],
        order: Sequence[str],
        *,
        before: Mapping[str, str] = MappingProxyType({}),
        after: Mapping[str, str] = MappingProxyType({}),
    ) -> Frame:
        """Return the frame with values of the rows right before and right after, of the same key."""
        lazy: pl.LazyFrame = frame.to_native()
        ordered = lazy.sort(*keys, *order)
        follows = pl.int_range(pl.len()) > 0  # a NULL key is not the key of the row that is not there
        for key in keys:
            follows &= pl.col(key).eq_missing(pl.col(key).shift(1))
        precedes = follows.shift(-1).fill_null(value=False)
        earlier = [pl.when(follows).then(pl.col(column).shift(1)).alias(name) for name, column in before.items()]
        later = [pl.when(precedes).then(pl.col(column).shift(-1)).alias(name) for name, column in after.items()]
        return nw.from_native(ordered.with_columns(*earlier, *later))

    @without_panic
    def before(self, frame: Frame, starts: Mapping[str, Any]) -> Frame:
        """Return the rows whose every one of these watermark columns is set and before its start."""
        lazy: pl.LazyFrame = frame.to_native()
        schema = lazy.collect_schema()
        is_before = [
            value.is_not_null() if start is None else value < literal(start, schema[column])
            for column, start in starts.items()
            for value in [comparable(column, schema[column])]
        ]
        return nw.from_native(lazy.filter(pl.all_horizontal(is_before).fill_null(value=False)))

    def in_window(self, frame: Frame, column: str, lower: Any, upper: Any, *, inside: bool = True) -> Frame:
        """Return the rows whose value lies in `[lower, upper)`, or the others."""
        lazy: pl.LazyFrame = frame.to_native()
        dtype = lazy.collect_schema()[column]
        value = comparable(column, dtype)
        is_inside = (value >= literal(lower, dtype)) & (value < literal(upper, dtype))
        return nw.from_native(lazy.filter(is_inside if inside else ~is_inside.fill_null(value=False)))


def _outranks(columns: int) -> pl.Expr:
    """Return whether `__tidegate_theirs_*` are greater than `__tidegate_ours_*`, one after the other; NULL is least."""
    outranks = pl.lit(value=False)
    for index in reversed(range(columns)):
        ours, theirs = pl.col(f"__tidegate_ours_{index}"), pl.col(f"__tidegate_theirs_{index}")
        greater = theirs.is_not_null() & (ours.is_null() | (theirs > ours))
        outranks = greater | (theirs.eq_missing(ours) & outranks)
    return outranks


def _expression(expression: SqlExpression, types: Mapping[str, pa.DataType]) -> pl.Expr:
    return pl.sql_expr(render_polars(bind(expression, types)))


def _constant(value: str | datetime) -> pl.Expr:
    if isinstance(value, str):
        return pl.lit(value)
    microseconds = (value - _EPOCH) // timedelta(microseconds=1)
    return pl.lit(microseconds).cast(pl.Datetime("us", "UTC"))  # a zoned literal takes half a millisecond to make


def _joined(frame: Frame, batch: Frame, keys: Sequence[str], how: Literal["semi", "anti"]) -> Frame:
    left: pl.LazyFrame = frame.to_native()
    right: pl.LazyFrame = batch.to_native()
    return nw.from_native(left.join(right.select(keys), on=list(keys), how=how, nulls_equal=True))
