#!/usr/bin/env python3
"""A client of rsipc in Python: says hello, sends a message, asks, answers. The wire is in docs/wire.md."""

import json
import os
import socket
import struct
import sys

MESSAGE, REQUEST, REPLY, FAILURE, CANCEL, PING, PONG, BYE = range(1, 9)


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")
        hello = {"codec": "json", "pid": os.getpid()}
        self.socket.sendall(b"rsipc/1 " + json.dumps(hello).encode() + b"\n")
        magic, _, said = self.stream.readline(1024).partition(b" ")
        assert magic == b"rsipc/1", magic
        self.server = json.loads(said)
        assert self.server.get("codec") == "json", self.server
        self.next = 0
        self.messages = []

    def write(self, kind, *values):
        payload = b"".join(json.dumps(value).encode() + b"\n" for value in values)
        self.socket.sendall(struct.pack("<IBB", len(payload), kind, 0) + payload)

    def read(self):
        """One frame: its kind, and the values of its lines."""
        length, kind, _flags = struct.unpack("<IBB", self.stream.read(6))
        return kind, [json.loads(line) for line in self.stream.read(length).splitlines()]

    def send(self, *messages):
        self.write(MESSAGE, *messages)

    def turn(self):
        """Takes one frame; answers pings; keeps messages."""
        kind, values = self.read()
        if kind == PING:
            self.write(PONG)
        elif kind == MESSAGE:
            self.messages += values
        return kind, values

    def request(self, name, body):
        self.next += 1
        self.write(REQUEST, [self.next, name, 0, body])
        while True:
            kind, values = self.turn()
            for number, *answer in values if kind in (REPLY, FAILURE) else ():
                if number == self.next:
                    if kind == FAILURE:
                        raise RuntimeError(answer[0].get("message"))
                    return answer[0] if answer else None

    def receive(self):
        while not self.messages:
            self.turn()
        return self.messages.pop(0)

    def close(self):
        self.write(BYE)
        while self.read()[0] != BYE:
            pass
        self.socket.close()


if __name__ == "__main__":
    peer = Connection(sys.argv[1])
    print(peer.request("add", {"a": 1, "b": 2}))
    peer.send({"from": "python", "text": "ä漢"}, [1, None, 2.5])
    print(peer.receive(), peer.receive())
    try:
        peer.request("nobody", None)
    except RuntimeError as error:
        print(error)
    peer.close()
