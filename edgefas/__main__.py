"""`python -m edgefas`."""

from edgefas.cli.main import main

main()
