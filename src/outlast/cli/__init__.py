"""The command line: one module per command, loaded when it is asked for."""

from outlast.cli._main import main

__all__ = ["main"]
