"""Tidegate: metadata-driven ETL whose loads are one atomic commit each."""
