"""Tidegate measured beside the best hand-written code for the same result (see README.md)."""
