"""The OpenAPI document is a promise: whatever it allows is taken, whatever it forbids is refused as it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from api_gateway.app import create_app
from tests.gateway import WebProcess, bearer, settings
from tests.servers import Valkey
from workers.database import Database
from workers.database.migrate import upgrade

ADMIN = bearer("root", "admin", ttl_s=3600)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
    checks.missing_required_header,
    checks.unsupported_method,
    checks.allow_header_conformance,
    checks.ignored_auth,
]

EXCLUDED = {
    # What `data` must hold is said by the type's own schema, and an id may be taken: not all that has the form holds.
    "/v1/events": [checks.positive_data_acceptance],
    # Generated keys lose their quotes on the way into the header.
    "/v1/users": [checks.positive_data_acceptance],
    "/v1/users/{user_id}": [checks.positive_data_acceptance],
    # The signature is of the bytes that are sent, and comes before everything: no generated one holds.
    "/webhooks/lemonsqueezy": [checks.positive_data_acceptance, checks.ignored_auth],
}

EACH_ITS_OWN = 207
"""A batch is answered event by event: what is wrong with one refuses that one."""

WEBHOOKS = {"LEMONSQUEEZY_WEBHOOK_SECRET": "signed-with-this"}
APP = create_app(settings("redis://127.0.0.1:1/0", LUNA_ENV="development"), Database("sqlite:///unused.db"))
GENERATION = {"deterministic": True, "allow-x00": False}  # no text may hold NUL, which no schema can say of every text
SCHEMA = schemathesis.openapi.from_dict(
    APP.openapi(), config=SchemathesisConfig.from_dict({"seed": 1, "generation": GENERATION})
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway that serves the document's application."""
    folder = tmp_path_factory.mktemp("served")
    server = Valkey(folder, appendfsync="no").start()
    url = f"sqlite:///{folder / 'luna.db'}"
    upgrade(Database(url))
    with WebProcess(folder, REDIS_URL=server.url, DATABASE_URL=url, LUNA_RATE_LIMITS="off", **WEBHOOKS) as web:
        yield str(web.http.base_url)
    server.stop()


@SCHEMA.parametrize()
@hypothesis(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_gateway_does_what_its_document_says(served: str, case: schemathesis.Case) -> None:
    answer = case.call(base_url=served, headers=ADMIN)
    excluded = list(EXCLUDED.get(case.operation.path, []))
    if answer.status_code == EACH_ITS_OWN:
        excluded.append(checks.negative_data_rejection)
    case.validate_response(answer, checks=CHECKS, excluded_checks=excluded, headers=ADMIN)
