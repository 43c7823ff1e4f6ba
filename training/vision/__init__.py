"""Recipes of `vision`: the published studies, each number beside ours; see `study`."""
