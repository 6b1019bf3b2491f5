"""Durations and sizes as people write them, and errors that name the place and the likely word."""

from outlast.config._check import check_known, check_number, suggest
from outlast.config._units import parse_duration, parse_size

__all__ = ["check_known", "check_number", "parse_duration", "parse_size", "suggest"]
