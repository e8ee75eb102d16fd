"""`python -m netinspect`."""

from netinspect.cli.main import main

main()
