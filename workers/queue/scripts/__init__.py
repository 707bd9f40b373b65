"""The Lua scripts of the queue: each is one atomic step on the keys of one queue, declared in KEYS."""

from __future__ import annotations

from workers.script import Script

PUBLISH = Script(__name__, "publish")
STORE = Script(__name__, "store")
DELAY = Script(__name__, "delay")
TEND = Script(__name__, "tend")
RENEW = Script(__name__, "renew")
BEGIN = Script(__name__, "begin")
RELEASE = Script(__name__, "release")
SETTLE = Script(__name__, "settle")
BURY = Script(__name__, "bury")
EXHUME = Script(__name__, "exhume")
SWEEP = Script(__name__, "sweep")
NOW = Script(__name__, "now")
