"""Recipes of the shipped models: TOML for the databases, a module for each model."""
