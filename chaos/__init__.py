"""Real runs of Tidegate, killed at every moment, compared with undisturbed ones (see README.md)."""
