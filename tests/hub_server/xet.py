"""The other half of a Hub's storage: Xet, where files lie as chunks in xorbs and shards say how to join them.

Formats are those of the Xet specification (huggingface.co/docs/xet: xorb, MDB shard). Answers of version 2 of the
protocol are not given; the client then speaks version 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pyarrow as pa

from hub_server.gate import Answer, Gate, Question, said
from hub_server.state import Refused, Repository

ENTRY = 48  # bytes of every record of a shard
WITH_VERIFICATION, WITH_SHA256 = 1 << 31, 1 << 30
PLAIN, LZ4, GROUPED_LZ4 = 0, 1, 2


class Xet(Gate):
    """Tokens to write with, chunks, and files made of them. What is stored is the same as by LFS."""

    def write_token(self, asked: Question, name: str, revision: str) -> Answer:
        repository = self.writable(asked, name, revision)
        repository.resolve(revision)
        if sum(len(data) for data in repository.stored.values()) > self.quota:
            raise Refused(402, "You have exceeded your storage limit for private repositories")
        token, end = f"xet_{name}", int(time.time()) + 3600
        self.xet_tokens[token] = repository
        headers = {"X-Xet-Cas-Url": self.storage, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(end)}
        return said({"casUrl": self.storage, "accessToken": token, "exp": end}, **headers)

    def xorb(self, asked: Question, number: str) -> Answer:
        self._repository(asked)
        new = number not in self.xorbs
        self.xorbs[number] = list(_chunks(asked.body))
        return said({"was_inserted": new})

    def shard(self, asked: Question) -> Answer:
        repository = self._repository(asked)
        for sha256, terms in _files(asked.body):
            for xorb, _, _ in terms:
                if xorb not in self.xorbs:
                    raise Refused(400, f"xorb {xorb} is not here")
            data = b"".join(b"".join(self.xorbs[xorb][first:last]) for xorb, first, last in terms)
            self.keep(repository, sha256, data)
        return said({"result": 1})

    def unknown(self, asked: Question) -> Answer:
        """Chunks of other repositories, and what version 2 of the protocol asks for."""
        raise Refused(404, "not here")

    def _repository(self, asked: Question) -> Repository:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.xet_tokens:
            raise Refused(401, "no token of Xet")
        return self.xet_tokens[token]


def _chunks(data: bytes) -> Iterator[bytes]:
    """Chunks of a xorb: a head of 8 bytes (version, length, kind, length when plain), and the bytes."""
    at = 0
    while at + 8 <= len(data) and data[at] == 0:
        length, kind, plain = int.from_bytes(data[at + 1 : at + 4], "little"), data[at + 4], data[at + 5 : at + 8]
        body, size = data[at + 8 : at + 8 + length], int.from_bytes(plain, "little")
        if kind != PLAIN:
            body = bytes(pa.decompress(body, size, codec="lz4", asbytes=True))
        yield _ungrouped(body) if kind == GROUPED_LZ4 else body
        at += 8 + length


def _ungrouped(data: bytes) -> bytes:
    """Bytes in their order again that were sorted by their place modulo 4."""
    joined, at = bytearray(len(data)), 0
    for place in range(4):
        count = len(range(place, len(data), 4))
        joined[place::4] = data[at : at + count]
        at += count
    return bytes(joined)


def _files(data: bytes) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Of a shard: each file's SHA-256, and which chunks of which xorbs it consists of."""
    at = ENTRY
    while data[at : at + 32] != b"\xff" * 32:
        flags, count = (int.from_bytes(data[at + 32 + n : at + 36 + n], "little") for n in (0, 4))
        rows = [data[at + ENTRY * n : at + ENTRY * (n + 1)] for n in range(1, count + 1)]
        terms = [(_hex(row), *(int.from_bytes(row[n : n + 4], "little") for n in (40, 44))) for row in rows]
        at += ENTRY * (1 + count * (2 if flags & WITH_VERIFICATION else 1))
        assert flags & WITH_SHA256, "the client says what the file's SHA-256 is"
        yield _hex(data[at : at + 32]), terms
        at += ENTRY


def _hex(data: bytes) -> str:
    """A hash as text: four numbers of 8 bytes, the lowest byte first."""
    return "".join(data[n : n + 8][::-1].hex() for n in range(0, 32, 8))
