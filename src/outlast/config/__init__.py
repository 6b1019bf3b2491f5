"""Durations and sizes as people write them, and errors that name the place and the likely word."""

from outlast.config._check import check_callable, check_known, check_number, suggest
from outlast.config._units import parse_duration, parse_size
from outlast.config._yaml import Document, join, read_yaml

__all__ = [
    "Document",
    "check_callable",
    "check_known",
    "check_number",
    "join",
    "parse_duration",
    "parse_size",
    "read_yaml",
    "suggest",
]
