"""The kernel: stores and moves messages, and holds the adapters. It contains no business word."""

from importlib.metadata import version

__version__ = version("luna")
