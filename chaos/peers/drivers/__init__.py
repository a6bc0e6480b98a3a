"""One script a tool: it performs one incremental load, in the tool's own environment, and imports nothing of chaos."""
