"""One module per command. Their imports are those of the command line alone, so that ``airis --help`` is quick."""
