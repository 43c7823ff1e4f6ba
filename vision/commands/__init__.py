"""The ``thiry-vision`` subcommands, one module each (see `vision.cli`)."""
