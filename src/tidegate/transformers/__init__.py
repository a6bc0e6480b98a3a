"""Transformers: the steps between source and destination."""

from tidegate.transformers.base import BaseTransformer, TransformContext, transformer_registry

__all__ = ["BaseTransformer", "TransformContext", "transformer_registry"]
