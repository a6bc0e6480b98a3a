"""SQL expressions and data types as metadata writes them. Import the modules: the room itself loads nothing."""
