"""Load strategies: how a batch becomes one change of a table. One file each."""
