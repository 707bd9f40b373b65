"""A Redis Cluster of three servers for the tests, on free ports of the loopback address."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import redis

from tests.servers import Valkey, eventually

SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))
HIGHEST_PORT = 55_535  # the nodes talk to each other 10,000 ports higher


class Cluster:
    """Three nodes without replicas, each with a third of the slots."""

    def __init__(self, folder: Path) -> None:
        self.nodes = []
        for number in range(len(SLOTS)):
            (folder / str(number)).mkdir()
            node = Valkey(folder / str(number), **{"cluster-enabled": "yes", "masterauth": Valkey.password})
            while node.port > HIGHEST_PORT:
                node = Valkey(node.folder, **{"cluster-enabled": "yes", "masterauth": Valkey.password})
            self.nodes.append(node)
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.url = f"redis+cluster://:{Valkey.password}@{hosts}"

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.start()
        clients = [node.client() for node in self.nodes]
        for client, (first, last) in zip(clients, SLOTS, strict=True):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        for client in clients:
            eventually(lambda client=client: _whole(client), what="a whole cluster")
            client.close()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()

    def keys(self) -> list[int]:
        """How many keys each node holds."""
        counts = []
        for node in self.nodes:
            with node.client() as client:
                counts.append(int(client.dbsize()))
        return counts


def _whole(client: redis.Redis) -> bool:
    info = client.execute_command("CLUSTER", "INFO")
    text = info.decode() if isinstance(info, bytes) else str(info)
    nodes = client.execute_command("CLUSTER", "NODES")
    return "ok" in text.partition("cluster_state")[2][:8] and len(nodes) >= len(SLOTS)
