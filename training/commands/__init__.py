"""Subcommands of ``thiry`` that make data and models."""
