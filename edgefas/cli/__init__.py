"""The command line: thin, and the only place that prints. One file per command, each with a function `command`."""
