"""Orchestration: plans dataflows, runs them, and records what happened."""
