"""What a gateway process asks about a credential: whose is it? Tokens and API keys, behind one door.

Revocations, rotations and new keys are felt within two seconds: the database is looked at once a second. While it is
away, tokens are held against the revocations last read, and a known API key works for five more minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from workers.database import Database
from workers.errors import TransientError, UnavailableError
from workers.security import api_keys, revocations
from workers.security.api_keys import ApiKey
from workers.security.callers import Caller, InvalidCredentialError
from workers.security.key_ring import KEPT_S, Held, KeyRing
from workers.security.revocations import Revoked
from workers.security.tokens import Tokens
from workers.settings import Settings

__all__ = ["Credentials", "InvalidCredentialError"]

REMEMBERED_S = 60.0
MAX_REMEMBERED = 10_000
LOOK_EVERY_S = 1.0
READ_ALL_EVERY_S = 60.0
DEADLINE_S = 2.0  # a request waits no longer for the database
THREADS = 4  # of our own: a database that hangs must not take those that look up host names

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Remembered(NamedTuple):
    """Who a credential stands for, until when, and by which id it would be revoked."""

    caller: Caller
    until: float
    id: str


class Credentials:
    """Verifies credentials: what begins with `luna_` is an API key, everything else a token.

    What holds is remembered by the credential itself. That leaks no timing worth having: a dict compares strings only
    when their 64-bit hashes are equal, and the key of that hash is random in every process. A look-up takes 0.2 µs, or
    0.35 with a string that was just made of bytes; a SHA-256 as the key would add 0.5, and protect nothing.
    """

    def __init__(self, tokens: Tokens, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._tokens = tokens
        self._database = database
        self._clock = clock
        self._remembered: OrderedDict[str, Remembered] = OrderedDict()
        self._ring = KeyRing(clock)
        self._revoked: Revoked | None = None
        self._all_read_at = 0.0
        self._looking = asyncio.Lock()
        self._under_way: set[Future[Any]] = set()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="credentials")

    @classmethod
    def configured(cls, settings: Settings, database: Database) -> Self:
        """As the settings say. Raises SettingsError."""
        return cls(Tokens.configured(settings), database)

    def remembered(self, credential: str) -> Caller | None:
        """The caller of a credential that was verified in the last minute and still holds. No I/O, from any thread."""
        known = self._remembered.get(credential)
        return known.caller if known is not None and known.until > self._clock() else None

    async def verify(self, credential: str) -> Caller:
        """The caller of a credential.

        Raises InvalidCredentialError, and UnavailableError when the database is needed and away.
        """
        if credential.startswith(api_keys.PREFIX):
            return await self._verify_key(credential)
        return await self._verify_token(credential)

    async def run(self) -> None:
        """Keep what is known fresh, and write down when keys were used; until cancelled, whatever happens."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._again_and_again("credentials.stale", self.look))
                tasks.create_task(self._again_and_again("credentials.use_not_noted", self._note_uses))
        finally:
            await self.settled()

    async def settled(self) -> None:
        """Wait for what is under way in the database, so that it can be closed; but not for long."""
        under_way = [asyncio.wrap_future(work) for work in tuple(self._under_way)]
        if under_way:
            await asyncio.wait(under_way, timeout=DEADLINE_S)

    async def look(self) -> None:
        """Look now at what has changed. Raises UnavailableError."""
        if self._tokens.key_file.refresh():  # here, not in a thread: those may all be waiting for the database
            self._remembered.clear()  # some may be signed by a key that is gone
        async with self._looking:
            await self._look_at_database()
        self._drop_old()

    async def _look_at_database(self) -> None:
        read_at, before, asked = self._clock(), self._revoked, self._ring.shown_lately()
        now = datetime.fromtimestamp(read_at, UTC)
        anew = before is None or read_at - self._all_read_at >= READ_ALL_EVERY_S

        def question(connection: Connection) -> tuple[Revoked, dict[str, ApiKey]]:
            known = None if anew else before
            revoked = revocations.read_newer(connection, known, now) if known else revocations.read(connection, now)
            return revoked, api_keys.find(connection, asked)

        revoked, found = await self._ask(question)
        self._revoked, self._all_read_at = revoked, read_at if anew else self._all_read_at
        gone = self._ring.learn(asked, found, read_at)
        if revoked is not before:
            gone |= revoked.tokens - (before.tokens if before else frozenset())
        self._forget(gone)

    async def _verify_token(self, token: str) -> Caller:
        verified = self._tokens.verify(token)
        if self._revoked is None:  # nobody has looked yet: fail closed
            await self.look()
        if self._revoked is None or verified.id in self._revoked.tokens:
            raise InvalidCredentialError("the token is revoked")
        self._remember(token, Remembered(verified.caller, verified.expires_at, verified.id))
        return verified.caller

    async def _verify_key(self, shown: str) -> Caller:
        key_id = api_keys.id_of(shown)
        held = self._ring.get(key_id)
        if held is None or held.key.good_until(shown) is None:  # its secret may be a moment old
            held = await self._read(key_id, shown)
        if held is None:
            api_keys.compare_with_nobodys(shown)
            raise InvalidCredentialError("there is no API key of this id")
        until, now = _end(held.key, shown), self._clock()
        if until <= now:
            raise InvalidCredentialError(f"the key {key_id} has expired")
        held.used_at = now
        self._remember(shown, Remembered(held.key.caller, min(until, held.read_at + KEPT_S), key_id))
        return held.key.caller

    async def _read(self, key_id: str, shown: str) -> Held | None:
        """The key as the database has it, or if that is away as it was lately. Raises UnavailableError."""
        read_at = self._clock()
        try:
            found = await self._ask(lambda connection: api_keys.find(connection, [key_id]))
        except UnavailableError:
            held = self._ring.get(key_id, within_s=KEPT_S)
            if held is None or held.key.good_until(shown) is None:
                raise
            return held
        self._forget(self._ring.learn([key_id], found, read_at))
        return self._ring.get(key_id, within_s=KEPT_S)

    def _remember(self, credential: str, known: Remembered) -> None:
        """Keep it for a minute at most; the oldest makes room, which is also the one that would go first."""
        until = min(known.until, self._clock() + REMEMBERED_S)
        self._remembered.pop(credential, None)
        self._remembered[credential] = known._replace(until=until)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def _forget(self, ids: set[str]) -> None:
        if ids:
            gone = [credential for credential, known in self._remembered.items() if known.id in ids]
            for credential in gone:
                del self._remembered[credential]

    def _drop_old(self) -> None:
        now = self._clock()
        while self._remembered and next(iter(self._remembered.values())).until <= now:
            self._remembered.popitem(last=False)

    async def _note_uses(self) -> None:
        uses = self._ring.uses_to_note()
        if not uses:
            return

        def write() -> None:
            with self._database.write() as connection:
                api_keys.note_use(connection, uses)

        await self._in_thread(write)
        self._ring.noted(uses)

    async def _ask(self, question: Callable[[Connection], T]) -> T:
        """The database's answer. Raises UnavailableError, after DEADLINE_S at the latest."""

        def asking() -> T:
            with self._database.read() as connection:
                return question(connection)

        try:
            async with asyncio.timeout(DEADLINE_S):  # `wait_for` swallows a cancellation that comes with the answer
                return await self._in_thread(asking)
        except UnavailableError:
            raise
        except (TransientError, SQLAlchemyError) as error:
            raise UnavailableError("the database", type(error).__name__) from error
        except TimeoutError:
            raise UnavailableError("the database", f"no answer within {DEADLINE_S:g} s") from None

    def _in_thread(self, work: Callable[[], T]) -> Awaitable[T]:
        future = self._threads.submit(work)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return asyncio.wrap_future(future)

    async def _again_and_again(self, trouble: str, step: Callable[[], Awaitable[None]]) -> None:
        """Do it once a second. Trouble is logged when it begins and when it is over, and ends nothing."""
        well = True
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 a look that ends for ever would let revoked credentials in
                if well:
                    log.warning(trouble, error=str(error))
                well = False
            else:
                if not well:
                    log.info("credentials.fresh")
                well = True
            await asyncio.sleep(LOOK_EVERY_S)


def _end(key: ApiKey, shown: str) -> float:
    """When what was shown of this key ends, in seconds since the epoch. Raises InvalidCredentialError."""
    until = key.good_until(shown)
    if until is None:
        raise InvalidCredentialError(f"the key {key.id} has another secret")
    if key.revoked_at:
        raise InvalidCredentialError(f"the key {key.id} is revoked")
    return until.timestamp()
