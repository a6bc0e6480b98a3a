"""The same kills for other tools: what Tidegate's tables are compared with. See the README beside this file."""
