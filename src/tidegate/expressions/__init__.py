"""SQL expressions and data types as metadata writes them. Import its modules: the room itself loads nothing."""
