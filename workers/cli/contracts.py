"""Finds the business's contracts and routes by module name, as `dramatiq MODULE` does: the kernel imports none."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from workers.contract import Contract
from workers.event import Route

CONTRACTS_MODULE = "actors.events"
ROUTES_MODULE = "actors.routes"


def contracts() -> Mapping[str, type[Contract]]:
    """Wire type to contract."""
    return cast("Mapping[str, type[Contract]]", import_module(CONTRACTS_MODULE).CONTRACTS)


def queues() -> tuple[str, ...]:
    """The names of all queues."""
    return cast("tuple[str, ...]", import_module(ROUTES_MODULE).QUEUES)


def routes() -> Mapping[str, tuple[Route, ...]]:
    """Where each event goes."""
    return cast("Mapping[str, tuple[Route, ...]]", import_module(ROUTES_MODULE).ROUTES)
