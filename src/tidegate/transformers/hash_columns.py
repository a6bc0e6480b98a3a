"""Step 18: columns that hold the hash of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from tidegate.engines.base import Digest
from tidegate.errors import TransformError
from tidegate.expressions.data_type import describe_type
from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow


class HashColumnAdder(BaseTransformer):
    """Adds the hash columns, each computed from the columns as they were before this step.

    A missing column that may be missing counts as NULL, so that a hash stays what it is when an empty column goes.
    """

    name: ClassVar[str] = "hash"
    order: ClassVar[int] = 18

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Show what is computed from what."""
        hashed = flow.transform.hash_columns
        return ", ".join(f"{one.target_column} = {one.algorithm}({', '.join(one.columns)})" for one in hashed) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the columns.

        Raises:
            TransformError: a column does not exist (TG302), or is a list or a struct (TG307).
        """
        schema = context.engine.schema(frame)
        digests = {}
        for hashed in context.flow.transform.hash_columns:
            columns = tuple(spelled(name, schema, context, what="hashed column") for name in hashed.columns)
            for column in columns:
                _refuse_nested(column, schema)
            digests[hashed.target_column] = Digest(algorithm=hashed.algorithm, columns=columns)
        return context.engine.with_digests(frame, digests)


def _refuse_nested(column: str | None, schema: Mapping[str, pa.DataType]) -> None:
    if column is None or not pa.types.is_nested(schema[column]):
        return
    msg = f"column {column!r} is {describe_type(schema[column])}: only plain values are hashed"
    raise TransformError(msg, {"column": column}, code="TG307", hint="name plain columns, or take the column out")
