"""Data in, models out: reference potentials, relaxation, labels, databases, fits."""
