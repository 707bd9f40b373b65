from __future__ import annotations

from pathlib import Path

import pytest

from workers.errors import SettingsError
from workers.settings import load, sources

SECRET = "0123456789abcdefghijklmnopqrstuv"
PRODUCTION = {"LUNA_ENV": "production", "REDIS_URL": "redis://queue", "JWT_SECRET": SECRET}


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LUNA_ENV", "prod"),
        ("LUNA_PORT", "0"),
        ("LUNA_PORT", "65536"),
        ("LUNA_PORT", "http"),
        ("REDIS_URL", "http://queue"),
        ("REDIS_URL", "redis://queue:port"),
        ("REDIS_URL", "redis://[::1"),
        ("REDIS_URL", "redis://queue?socket_timeout=soon"),
        ("REDIS_URL", "redis://queue?colour=red"),
        ("CACHE_REDIS_URL", "memcached://cache"),
        ("DATABASE_URL", "mysql://db/luna"),
        ("DATABASE_URL", "postgresql://db/luna"),
        ("DATABASE_URL", "no address at all"),
        ("DATABASE_URL", "postgresql+psycopg://db:port/luna"),
        ("JWT_SECRET", "s" * 31),
        ("JWT_SECRET", f"{SECRET},short"),
        ("JWT_SECRET", f"{SECRET},"),
        ("LEMONSQUEEZY_WEBHOOK_SECRET", "short"),
        ("LEMONSQUEEZY_WEBHOOK_SECRET", "x" * 41),
        ("LEMONSQUEEZY_WEBHOOK_SECRET", "long-enough,"),
        ("LEMONSQUEEZY_PLANS", "pro"),
        ("LEMONSQUEEZY_PLANS", "1:pro,two:team"),
        ("LEMONSQUEEZY_PLANS", "1:pro:team"),
        ("LEMONSQUEEZY_PLANS", "1:Pro"),
        ("LEMONSQUEEZY_PLANS", "1:pro,1:team"),
        ("LUNA_PUBLIC_URL", "foo"),
        ("LUNA_PUBLIC_URL", "ftp://luna"),
        ("LUNA_DURABILITY", "replica:0"),
        ("LUNA_DURABILITY", "always"),
        ("EMAIL_TRANSPORT", "pigeon"),
        ("SMTP_URL", "https://mail"),
        ("SMTP_URL", "smtp://mail:port"),
        ("EMAIL_FROM", "nobody"),
        ("EMAIL_FROM", "@"),
        ("EMAIL_FROM", "a@example.org, b"),
        ("EMAIL_FROM", "a@example.org\nBcc: b"),
        ("EMAIL_FROM", "x@"),
        ("EMAIL_FROM", "no-reply@exämple.org"),
        ("EMAIL_SUPPORT", "a@b@c"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    setenv: pytest.MonkeyPatch, name: str, value: str
) -> None:
    setenv.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load()
    assert str(refusal.value).startswith(f"{name}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", "hunter2"),
        ("LEMONSQUEEZY_WEBHOOK_SECRET", "hunter2" * 6),
        ("REDIS_URL", "ftp://me:hunter2@host"),
        ("REDIS_URL", "redis://:hunter2/x@host"),
        ("DATABASE_URL", "ftp://me:hunter2@host/name"),
        ("DATABASE_URL", "postgresql+psycopg://me@host:hunter2/name"),
        ("SMTP_URL", "ftp://me:hunter2@host"),
        ("SMTP_URL", "smtp://me:hunter2/x@host"),
    ],
)
def test_a_refusal_never_repeats_a_secret(setenv: pytest.MonkeyPatch, name: str, value: str) -> None:
    setenv.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load()
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("sender", ["no-reply@localhost", "Lüna <a@example.org>", '"Luna, Inc" <a@example.org>'])
def test_a_sender_may_have_a_name(setenv: pytest.MonkeyPatch, sender: str) -> None:
    setenv.setenv("EMAIL_FROM", sender)
    assert load().email_from == sender


def test_every_wrong_variable_is_named_at_once(setenv: pytest.MonkeyPatch) -> None:
    setenv.setenv("LUNA_PORT", "x")
    setenv.setenv("EMAIL_FROM", "x")
    with pytest.raises(SettingsError, match=r"LUNA_PORT: .*; EMAIL_FROM: "):
        load()


@pytest.mark.parametrize("name", ["REDIS_URL", "JWT_SECRET"])
def test_production_refuses_to_start_without(setenv: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in PRODUCTION.items():
        setenv.setenv(variable, "" if variable == name else value)
    with pytest.raises(SettingsError, match=f"^{name}: is needed"):
        load()


def test_smtp_needs_its_server(setenv: pytest.MonkeyPatch) -> None:
    setenv.setenv("EMAIL_TRANSPORT", "smtp")
    with pytest.raises(SettingsError, match=r"^SMTP_URL: is needed"):
        load()


def test_production_reads_no_env_file(setenv: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("LUNA_PORT=9\nEMAIL_FROM=broken")
    for variable, value in PRODUCTION.items():
        setenv.setenv(variable, value)
    assert load().port == 8000
    assert sources()["LUNA_PORT"] == "default"


def test_the_environment_goes_before_the_env_file_and_that_before_the_default(setenv: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("LUNA_PORT=9001\nLUNA_HOST=0.0.0.0")
    setenv.setenv("LUNA_PORT", "9002")
    settings = load()
    assert (settings.port, settings.host, settings.jwt_issuer) == (9002, "0.0.0.0", "luna")
    told = sources()
    assert (told["LUNA_PORT"], told["LUNA_HOST"], told["JWT_ISSUER"]) == ("environment", ".env", "default")


def test_an_empty_variable_is_an_unset_one(setenv: pytest.MonkeyPatch) -> None:
    setenv.setenv("LUNA_PORT", "")
    assert load().port == 8000
    assert sources()["LUNA_PORT"] == "default"


def test_settings_do_not_change_after_they_are_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # type: ignore[misc]


def test_secrets_are_not_printed_with_the_settings(setenv: pytest.MonkeyPatch) -> None:
    for variable, value in {**PRODUCTION, "REDIS_URL": "redis://:hunter2@queue"}.items():
        setenv.setenv(variable, value)
    assert "hunter2" not in repr(load())
    assert SECRET not in repr(load())


def test_the_first_key_signs_and_all_are_kept_in_order(setenv: pytest.MonkeyPatch) -> None:
    setenv.setenv("JWT_SECRET", f"{'a' * 32},{'b' * 32}")
    assert load().jwt_secrets == ("a" * 32, "b" * 32)


def test_the_cache_is_on_the_queues_server_unless_it_has_its_own(setenv: pytest.MonkeyPatch) -> None:
    setenv.setenv("REDIS_URL", "redis://queue")
    assert load().cache == "redis://queue"
    setenv.setenv("CACHE_REDIS_URL", "redis://cache")
    assert load().cache == "redis://cache"


def test_links_lead_to_the_public_address(setenv: pytest.MonkeyPatch) -> None:
    assert load().gateway_url == "http://127.0.0.1:8000"
    setenv.setenv("LUNA_PUBLIC_URL", "https://luna.example.org/")
    assert load().gateway_url == "https://luna.example.org"


def test_production_refuses_a_key_that_is_easily_guessed(setenv: pytest.MonkeyPatch) -> None:
    for name, value in {**PRODUCTION, "JWT_SECRET": "ab" * 32}.items():
        setenv.setenv(name, value)
    with pytest.raises(SettingsError, match=r"^JWT_SECRET: is too easily guessed"):
        load()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_the_gateway_is_reached_from_this_machine_wherever_it_listens(
    setenv: pytest.MonkeyPatch, host: str, url: str
) -> None:
    setenv.setenv("LUNA_HOST", host)
    assert load().local_url == url


def test_production_refuses_a_signing_secret_that_is_easily_guessed(setenv: pytest.MonkeyPatch) -> None:
    for name, value in {**PRODUCTION, "LEMONSQUEEZY_WEBHOOK_SECRET": "1f0c7a52b9d34e6890ab,secret"}.items():
        setenv.setenv(name, value)
    with pytest.raises(SettingsError, match=r"^LEMONSQUEEZY_WEBHOOK_SECRET: is too easily guessed"):
        load()


def test_plans_are_read_from_the_smallest_to_the_greatest(setenv: pytest.MonkeyPatch) -> None:
    assert load().plans == {}
    setenv.setenv("LEMONSQUEEZY_PLANS", "9:basic, 10:basic,3:pro_max,")
    assert list(load().plans.items()) == [("9", "basic"), ("10", "basic"), ("3", "pro_max")]


def test_every_signing_secret_is_kept(setenv: pytest.MonkeyPatch) -> None:
    assert load().lemonsqueezy_secrets == ()
    setenv.setenv("LEMONSQUEEZY_WEBHOOK_SECRET", "secret-1,secret-2")
    assert load().lemonsqueezy_secrets == ("secret-1", "secret-2")
