from __future__ import annotations

import pytest

from workers.errors import SettingsError
from workers.rates import Rate
from workers.security.callers import Caller
from workers.security.limits import Bucket, Limits
from workers.settings import Settings, load

ADDRESS = "203.0.113.7"
ALL = "ip=6000/1m, user=600/1m, key=3000/1m, endpoint:POST /v1/events=300/1m, failed=20/1m"
ADA, BOB = Caller("ada@example.com", frozenset()), Caller("bob", frozenset())
KEY, OTHER_KEY = Caller("shop", frozenset(), key="k1"), Caller("shop", frozenset(), key="k2")


def drawn(
    caller: Caller | None, endpoint: str = "POST /v1/events", address: str = ADDRESS, setting: str = ALL
) -> tuple[Bucket, ...]:
    return Limits.parse(setting).buckets(address=address, caller=caller, endpoint=endpoint)


def policies(*args: object, **options: object) -> dict[str, str]:
    return {bucket.policy.name: str(bucket.policy.rate) for bucket in drawn(*args, **options)}  # type: ignore[arg-type]


def test_a_token_draws_on_its_address_its_user_and_its_endpoint() -> None:
    assert policies(ADA) == {"ip": "6000/1m", "user": "600/1m", "POST /v1/events": "300/1m"}


def test_an_api_key_draws_on_the_keys_layer_and_not_on_the_users() -> None:
    assert policies(KEY) == {"ip": "6000/1m", "key": "3000/1m", "POST /v1/events": "300/1m"}


def test_the_own_rate_of_an_api_key_replaces_the_policys() -> None:
    own = Caller("shop", frozenset(), key="k1", rate=Rate(5, 1))
    assert policies(own)["key"] == "5/1s"
    assert policies(own, setting="ip=6000/1m")["key"] == "5/1s"


def test_who_is_not_known_draws_on_the_address_and_the_endpoint() -> None:
    assert policies(None) == {"ip": "6000/1m", "POST /v1/events": "300/1m"}


def test_an_endpoint_without_a_policy_has_no_bucket() -> None:
    assert policies(ADA, "GET /v1/event-types") == {"ip": "6000/1m", "user": "600/1m"}


def test_off_means_no_bucket_at_all() -> None:
    limits = Limits.parse("off")
    own = Caller("shop", frozenset(), key="k1", rate=Rate(5, 1))
    assert limits.buckets(address=ADDRESS, caller=own, endpoint="POST /v1/events") == ()
    assert limits.failed(ADDRESS) is None


def test_a_layer_that_is_not_named_is_off() -> None:
    assert policies(ADA, setting="user=1/1s") == {"user": "1/1s"}
    assert policies(KEY, setting="user=1/1s") == {}
    assert Limits.parse("user=1/1s").failed(ADDRESS) is None


def test_buckets_are_shared_by_none_but_the_same_address_or_caller() -> None:
    keys = [
        bucket.key
        for caller in (ADA, BOB, KEY, OTHER_KEY, Caller("k1", frozenset()), None)
        for bucket in drawn(caller)
        if bucket.policy.name != "ip"
    ]
    assert len(set(keys)) == len(keys)
    assert {drawn(caller)[0].key for caller in (ADA, KEY, None)} == {drawn(None)[0].key}
    assert drawn(ADA)[0].key != drawn(ADA, address="203.0.113.8")[0].key
    assert drawn(ADA)[1:] == drawn(ADA, address="203.0.113.8")[1:]


def test_an_endpoints_bucket_is_the_callers_from_any_address_and_another_on_each_endpoint() -> None:
    setting = "endpoint:GET /v1/events/{id}=10/1s, endpoint:POST /v1/events=10/1s"
    reading, writing = (
        drawn(ADA, endpoint, setting=setting) for endpoint in ("GET /v1/events/{id}", "POST /v1/events")
    )
    assert reading[0].policy.name == "GET /v1/events/{id}"
    assert reading[0].key != writing[0].key


def test_refused_credentials_have_a_bucket_of_their_own_for_each_address() -> None:
    limits = Limits.parse(ALL)
    failed = limits.failed(ADDRESS)
    assert failed is not None
    assert (failed.policy.name, str(failed.policy.rate)) == ("failed", "20/1m")
    assert failed != limits.failed("203.0.113.8")
    assert failed.key not in {bucket.key for bucket in drawn(None)}


def test_keys_and_names_disclose_nobody_and_share_one_slot() -> None:
    for bucket in (*drawn(ADA), *drawn(KEY)):
        shown = bucket.key + bucket.policy.name
        assert bucket.key.startswith("luna:{limits}:")
        assert not any(word in shown for word in ("ada", "example", "shop", "k1", ADDRESS))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "user=600/1m,",
        "user",
        "user=",
        "user=600",
        "user=0/1m",
        "user=600/1w",
        "user=600/1m, user=5/1s",
        "subject=600/1m",
        "USER=600/1m",
        "endpoint=5/1s",
        "endpoint:=5/1s",
        "endpoint:/v1/events=5/1s",
        "endpoint:post /v1/events=5/1s",
        "endpoint:POST v1/events=5/1s",
        'endpoint:POST /v1/"=5/1s',
        "endpoint:POST /v1/é=5/1s",
        "off, user=600/1m",
        "on",
    ],
)
def test_a_setting_that_is_no_list_of_layers_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"layer|rate|twice"):
        Limits.parse(text)
    monkeypatch.setenv("LUNA_RATE_LIMITS", text or " ")
    with pytest.raises(SettingsError, match=r"^LUNA_RATE_LIMITS: "):
        load()


def test_the_default_has_every_layer() -> None:
    assert policies(ADA, setting=Settings().rate_limits) == {
        "ip": "6000/1m",
        "user": "600/1m",
        "POST /v1/events": "3000/1m",
    }
