"""The hand-written side: what an expert writes with Polars, DuckDB and delta-rs for one job, without a framework."""
