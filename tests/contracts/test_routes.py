import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from actors.boot import HANDLERS
from actors.events import CONTRACTS
from actors.routes import QUEUE_OF, QUEUES, ROUTES
from workers.cli.up import first_event

ROOT = Path(__file__).parents[2]


def test_every_event_has_a_route_or_is_marked_terminal() -> None:
    assert {name for name, contract in CONTRACTS.items() if not contract.terminal} == set(ROUTES)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_event_has_an_example_that_holds(name: str) -> None:
    contract = CONTRACTS[name]
    contract.model_validate(contract.example)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **contract.model_json_schema()}
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(contract.example)


def test_the_first_event_of_a_newcomer_holds_and_is_another_each_time() -> None:
    first, second = (json.loads(first_event()) for _ in range(2))
    for event in (first, second):
        CONTRACTS[event["type"]].model_validate(event["data"])
    assert CONTRACTS[first["type"]].external
    assert first != second


def test_an_event_from_outside_has_exactly_one_route() -> None:
    assert {name for name, contract in CONTRACTS.items() if contract.external and len(ROUTES[name]) != 1} == set()


def test_an_actor_waits_on_one_queue_only() -> None:
    routes = {route for routes in ROUTES.values() for route in routes}
    assert len(routes) == len(QUEUE_OF)


def test_every_routed_actor_has_a_handler_and_every_handler_a_route() -> None:
    assert {handler.name for handler in HANDLERS} == set(QUEUE_OF)


def test_every_queue_is_consumed_by_a_process_type() -> None:
    procfile = (ROOT / "Procfile").read_text()
    consumed = {
        queue for queues in re.findall(r"--queues ([a-z ]+)$", procfile, re.MULTILINE) for queue in queues.split()
    }
    assert consumed == set(QUEUES)
