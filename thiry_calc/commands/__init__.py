"""The ``thiry`` subcommands that the runtime ships, one module each (see `thiry_calc.cli`)."""
