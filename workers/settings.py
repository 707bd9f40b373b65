"""Luna's settings: one frozen value, read from the environment once, refused at start if wrong.

No other module reads the environment. The names are promises; the README lists them.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable
from email.message import EmailMessage
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis import ConnectionPool
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from workers import rates
from workers.errors import SettingsError

MIN_SECRET_LETTERS = 10  # different ones; 32 random bytes in hexadecimal have 14 of the 16, nearly always
MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: an HS256 key is at least as long as the hash output

SIGNING_SECRET_CHARS = (6, 40)
"""docs.lemonsqueezy.com/help/webhooks: what its form takes"""
PLAN_OF_VARIANT = r"[0-9]{1,20}:[a-z][a-z0-9_-]{0,63}"

REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "redis+sentinel")

Network = IPv4Network | IPv6Network

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """Everything that can be set from outside. Field docstrings are what `luna doctor` prints."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, use_attribute_docstrings=True)

    env: Literal["development", "production"] = Field("development", alias="LUNA_ENV")
    """production refuses weak or missing secrets, closes /docs, turns JSON logs on"""
    host: str = Field("127.0.0.1", alias="LUNA_HOST")
    """address the gateway listens on"""
    port: Port = Field(8000, alias="LUNA_PORT")
    """port the gateway listens on"""
    data_dir: Path = Field(Path("var"), alias="LUNA_DATA_DIR")
    """where the embedded defaults keep their files"""
    durability: str = Field("fsync", alias="LUNA_DURABILITY")
    """when an event counts as stored: memory, fsync, or replica:N"""
    longest_queue: int = Field(1_000_000, ge=1, alias="LUNA_QUEUE_MAX_LENGTH")
    """a queue with as many messages takes no more events"""
    longest_wait_s: int = Field(86_400, ge=0, alias="LUNA_QUEUE_MAX_WAIT")
    """a queue whose oldest message has waited for so many seconds takes no more events; 0 for ever"""
    redis_url: SecretStr | None = Field(None, alias="REDIS_URL")
    """queues, schedules, rate limits; the embedded Valkey of LUNA_DATA_DIR if unset and running"""
    cache_redis_url: SecretStr | None = Field(None, alias="CACHE_REDIS_URL")
    """the cache; REDIS_URL if unset"""
    database_url: SecretStr | None = Field(None, alias="DATABASE_URL")
    """SQLAlchemy URL; SQLite in LUNA_DATA_DIR if unset"""
    jwt_secret: SecretStr | None = Field(None, alias="JWT_SECRET")
    """HS256 keys separated by commas: the first signs, all verify; generated in development"""
    jwt_jwks_file: Path | None = Field(None, alias="JWT_JWKS_FILE")
    """public keys (RS256, ES256, EdDSA) by kid: a JWKS file, read again when it changes"""
    jwt_issuer: str = Field("luna", alias="JWT_ISSUER")
    """exact issuer of tokens"""
    jwt_audience: str = Field("luna", alias="JWT_AUDIENCE")
    """exact audience of tokens"""
    email_transport: Literal["maildir", "smtp"] = Field("maildir", alias="EMAIL_TRANSPORT")
    """maildir writes to LUNA_DATA_DIR/mail, smtp needs SMTP_URL"""
    smtp_url: SecretStr | None = Field(None, alias="SMTP_URL")
    """smtp://user:password@host:587?starttls=1, or smtps://…"""
    email_from: str = Field("no-reply@localhost", alias="EMAIL_FROM")
    """sender of every e-mail"""
    email_support: str = Field("support@localhost", alias="EMAIL_SUPPORT")
    """where people write for help"""
    rate_limits: str = Field(
        "ip=6000/1m, user=600/1m, key=3000/1m, endpoint:POST /v1/events=3000/1m, failed=20/1m", alias="LUNA_RATE_LIMITS"
    )
    """how many requests in what time, for each layer; off disables"""
    trusted_proxies: str | None = Field(None, alias="LUNA_TRUSTED_PROXIES")
    """addresses and networks whose X-Forwarded-For is believed, separated by commas"""
    lemonsqueezy_webhook_secret: SecretStr | None = Field(None, alias="LEMONSQUEEZY_WEBHOOK_SECRET")
    """signing secrets of payment webhooks, separated by commas: each is good; no webhooks if unset"""
    lemonsqueezy_plans: str = Field("", alias="LEMONSQUEEZY_PLANS")
    """what each variant that is or was sold stands for, the smallest plan first: variant_id:plan,…"""
    public_url: str | None = Field(None, alias="LUNA_PUBLIC_URL")
    """for links in e-mails and status URLs; http://{host}:{port} if unset"""

    @field_validator("redis_url", "cache_redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value()
        if not url.startswith(tuple(f"{scheme}://" for scheme in REDIS_SCHEMES)):
            raise ValueError(f"must start with {', '.join(f'{scheme}://' for scheme in REDIS_SCHEMES)}")
        try:
            if url.startswith("redis+"):
                for node in urlsplit(url).netloc.rpartition("@")[2].split(","):
                    urlsplit(f"//{node}").port  # noqa: B018 raises ValueError for what is no port
            else:
                ConnectionPool.from_url(url).make_connection()  # no I/O; what would fail at first use
        except (ValueError, TypeError):
            raise ValueError("is not a Redis URL, such as redis://user:password@host:6379/0") from None
        return value

    @field_validator("durability")
    @classmethod
    def _durability(cls, value: str) -> str:
        if not re.fullmatch(r"memory|fsync|replica:[1-9]", value):
            raise ValueError("must be memory, fsync or replica:N with N from 1 to 9")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_dialect(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("is not a SQLAlchemy URL, such as postgresql+psycopg://user@host/name") from None
        if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
            raise ValueError("must start with sqlite:/// or postgresql+psycopg://")
        if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
            raise ValueError("must name a file, such as sqlite:///var/luna.db: processes share it")
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _strong_secret(cls, value: SecretStr | None) -> SecretStr | None:
        keys = value.get_secret_value().split(",") if value else []
        if any(len(key.encode()) < MIN_SECRET_BYTES for key in keys):
            raise ValueError(f"each key must be at least {MIN_SECRET_BYTES} bytes long")
        return value

    @field_validator("lemonsqueezy_webhook_secret")
    @classmethod
    def _signing_secret(cls, value: SecretStr | None) -> SecretStr | None:
        least, most = SIGNING_SECRET_CHARS
        keys = value.get_secret_value().split(",") if value else []
        if any(not least <= len(key) <= most for key in keys):
            raise ValueError(f"each secret must have {least} to {most} characters, as LemonSqueezy has it")
        return value

    @field_validator("lemonsqueezy_plans")
    @classmethod
    def _variants(cls, value: str) -> str:
        pairs = [pair.strip() for pair in value.split(",") if pair.strip()]
        if not all(re.fullmatch(PLAN_OF_VARIANT, pair) for pair in pairs):
            raise ValueError("must be pairs of a variant's number and a plan's name, such as 12345:pro,12346:team")
        variants = [pair.partition(":")[0] for pair in pairs]
        if len(variants) != len(set(variants)):
            raise ValueError("names a variant twice")
        return ",".join(pairs)

    @field_validator("smtp_url")
    @classmethod
    def _smtp_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        if not value.get_secret_value().startswith(("smtp://", "smtps://")):
            raise ValueError("must start with smtp:// or smtps://")
        try:
            _ = urlsplit(value.get_secret_value()).port
        except ValueError:
            raise ValueError("is not an SMTP URL, such as smtp://user:password@host:587") from None
        return value

    @field_validator("rate_limits")
    @classmethod
    def _limits(cls, value: str) -> str:
        rates.layers(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: str | None) -> str | None:
        if value is not None:
            _networks(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("must be a web address, such as https://events.example.com")
        return value

    @field_validator("email_from", "email_support")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if not value.isprintable() or not _is_address(value):
            raise ValueError("must be one e-mail address, all ASCII but for a name before it")
        return value

    @model_validator(mode="after")
    def _belong_together(self) -> Settings:
        for name in ("CACHE_REDIS_URL", "REDIS_URL"):
            value = getattr(self, name.lower())
            if value and value.get_secret_value().startswith("redis+cluster://"):
                if name == "CACHE_REDIS_URL" or self.cache_redis_url is None:
                    raise ValueError(
                        "CACHE_REDIS_URL: the cache needs one server, since one read spans several tags; name one that "
                        "is no Cluster"
                    )
                if self.durability.startswith("replica"):
                    raise ValueError("LUNA_DURABILITY: replica:N is not offered on a Cluster")
        if self.email_transport == "smtp" and self.smtp_url is None:
            raise ValueError("SMTP_URL: is needed when EMAIL_TRANSPORT is smtp")
        if self.env == "production":
            for name in ("REDIS_URL", "JWT_SECRET"):
                if getattr(self, name.lower()) is None:
                    raise ValueError(f"{name}: is needed when LUNA_ENV is production")
            if any(len(set(key)) < MIN_SECRET_LETTERS for key in self.jwt_secrets):
                raise ValueError("JWT_SECRET: is too easily guessed; `openssl rand -hex 32` makes a good one")
        return self

    @model_validator(mode="after")
    def _strong_signing_secret(self) -> Settings:
        if self.production and any(len(set(key)) < MIN_SECRET_LETTERS for key in self.lemonsqueezy_secrets):
            raise ValueError(
                "LEMONSQUEEZY_WEBHOOK_SECRET: is too easily guessed; `openssl rand -hex 20` makes a good one"
            )
        return self

    @property
    def production(self) -> bool:
        """Whether this is not a developer's machine."""
        return self.env == "production"

    @property
    def gateway_url(self) -> str:
        """Where the gateway is reached from outside, without a trailing slash."""
        return (self.public_url or self.local_url).rstrip("/")

    @property
    def local_url(self) -> str:
        """Where the gateway is reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 where it listens everywhere
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def jwt_secrets(self) -> tuple[str, ...]:
        """The HS256 keys: the first signs, all verify. Raises SettingsError when there is none."""
        if self.jwt_secret is None:
            raise SettingsError("JWT_SECRET: is not set")
        return tuple(self.jwt_secret.get_secret_value().split(","))

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The networks whose X-Forwarded-For is believed."""
        return _networks(self.trusted_proxies) if self.trusted_proxies else ()

    @property
    def lemonsqueezy_secrets(self) -> tuple[str, ...]:
        """The signing secrets of payment webhooks; none while there are to be no webhooks."""
        value = self.lemonsqueezy_webhook_secret
        return tuple(value.get_secret_value().split(",")) if value else ()

    @property
    def plans(self) -> dict[str, str]:
        """The plan of each variant, from the smallest to the greatest."""
        return dict(pair.split(":") for pair in self.lemonsqueezy_plans.split(",") if pair)

    @property
    def redis(self) -> str:
        """The queue's address. Raises SettingsError when there is none."""
        if self.redis_url is None:
            raise SettingsError("REDIS_URL: is not set, and no embedded Valkey runs here; `luna up` starts one")
        return self.redis_url.get_secret_value()

    @property
    def cache(self) -> str:
        """The cache's address."""
        return self.cache_redis_url.get_secret_value() if self.cache_redis_url else self.redis

    @property
    def database(self) -> str:
        """The database's SQLAlchemy URL."""
        return self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.data_dir / 'luna.db'}"


def cannot_listen(settings: Settings, error: OSError) -> SettingsError:
    """What to say when the gateway's address cannot be had: the variable to blame, and why."""
    taken = error.errno in {errno.EADDRINUSE, errno.EACCES}
    where = f"{settings.host} port {settings.port}"
    return SettingsError(f"{'LUNA_PORT' if taken else 'LUNA_HOST'}: cannot listen on {where} ({error.strerror})")


class Files:
    """What the embedded defaults keep in the data folder, for themselves and for each other."""

    def __init__(self, data_dir: Path) -> None:
        self.valkey_url = data_dir / "valkey.url"
        self.jwt_secret = data_dir / "jwt-secret"
        self.lock = data_dir / "luna.lock"


def load() -> Settings:
    """Read the environment (and `.env` in development). Raises SettingsError in one line that names the variable."""
    try:
        settings = Settings(_env_file=_env_file())  # type: ignore[call-arg]  # pydantic-settings takes it, its plugin knows
    except ValidationError as error:
        raise SettingsError("; ".join(_line(problem) for problem in error.errors())) from None
    return settings.model_copy(update=_embedded(settings))


def sources() -> dict[str, str]:
    """Where each variable's value came from: `environment`, `.env` or `default`."""
    env_file = _env_file()
    dotenv = dotenv_values(env_file) if env_file else {}
    return {
        str(name): "environment" if os.environ.get(str(name)) else ".env" if dotenv.get(str(name)) else "default"
        for name in (field.alias for field in Settings.model_fields.values())
    }


def _networks(text: str) -> tuple[Network, ...]:
    try:
        networks = tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"{error}; name addresses or networks, such as 10.0.0.0/8, 2001:db8::1") from None
    if any(isinstance(network, IPv6Network) and network.network_address.ipv4_mapped for network in networks):
        raise ValueError("write ::ffff:10.0.0.0/104 as the IPv4 network that it is, 10.0.0.0/8")
    return networks


def _is_address(value: str) -> bool:
    message = EmailMessage()
    try:
        message["From"] = value
    except (ValueError, IndexError):  # IndexError: what the standard library makes of "x@"
        return False
    header = message["From"]
    return not header.defects and len(header.addresses) == 1 and header.addresses[0].addr_spec.isascii()


def _env_file() -> Path | None:
    return None if os.environ.get("LUNA_ENV") == "production" else Path(".env")


def _line(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    text = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {text}" if name else text


def _embedded(settings: Settings) -> dict[str, SecretStr]:
    """The values that `luna up` and development leave in the data folder."""
    files, values = Files(settings.data_dir), {}
    if settings.redis_url is None and files.valkey_url.exists():
        values["redis_url"] = SecretStr(files.valkey_url.read_text().strip())
    if settings.jwt_secret is None and not settings.production:
        values["jwt_secret"] = SecretStr(_kept(files.jwt_secret, lambda: secrets.token_hex(MIN_SECRET_BYTES)))
    return values


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made by the first process that asks. Raises SettingsError when it cannot be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(make())
            try:
                os.link(draft, path)  # fails if another process was first: then its secret counts
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"LUNA_DATA_DIR: cannot write to {path.parent} ({error.strerror})") from None
