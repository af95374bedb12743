"""Descriptors of every kind and in every state, for peers that send what nobody expects."""

import os
import select
import socket
import struct

spare = []  # second ends, kept so that the first ones stay connected


def keep(first, second):
    spare.append(second)
    return first


def tcp_pair():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    return keep(server, client)


def tcp_listening():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)
    return listener


def tcp_reset():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    # Closing with a linger of zero sends RST instead of FIN.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return server


def udp():
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    return bound


def unix(kind):
    return keep(*socket.socketpair(socket.AF_UNIX, kind))


class Number:
    """A descriptor without an object of its own."""

    def __init__(self, number):
        self.number = number

    def fileno(self):
        return self.number

    def close(self):
        os.close(self.number)


def eventfd():
    if hasattr(os, "eventfd"):
        return Number(os.eventfd(0))
    import ctypes

    return Number(ctypes.CDLL(None).eventfd(0, 0))


def pty():
    import pty as module

    first, second = module.openpty()
    spare.append(Number(second))
    return Number(first)


def fifo():
    read, write = os.pipe()
    spare.append(Number(write))
    return Number(read)


def netlink():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


# The fourteen kinds of the failure list.
KINDS = {
    "file": lambda: Number(os.open(__file__, os.O_RDONLY)),
    "directory": lambda: Number(os.open("/", os.O_RDONLY)),
    "memfd": lambda: Number(os.memfd_create("hostile")),
    "eventfd": eventfd,
    "pidfd": lambda: Number(os.pidfd_open(os.getpid())),
    "epoll": lambda: select.epoll(),
    "pipe": fifo,
    "unix-stream": lambda: unix(socket.SOCK_STREAM),
    "unix-dgram": lambda: unix(socket.SOCK_DGRAM),
    "unix-seqpacket": lambda: unix(socket.SOCK_SEQPACKET),
    "tcp": tcp_pair,
    "udp": udp,
    "netlink": netlink,
    "tty": pty,
}
# Of the right kind, and in the wrong state.
STATES = {
    "tcp-listening": tcp_listening,
    "tcp-fresh": lambda: socket.socket(),
    "tcp-reset": tcp_reset,
    "udp-fresh": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "unix-fresh": lambda: socket.socket(socket.AF_UNIX),
    "null": lambda: Number(os.open("/dev/null", os.O_RDWR)),
}
cache = {}


def descriptor(kind):
    """One of this kind; the same each time, as the receiver gets copies."""
    if kind not in cache:
        cache[kind] = (KINDS.get(kind) or STATES[kind])()
    return cache[kind].fileno()


def possible(kind):
    try:
        descriptor(kind)
        return True
    except (OSError, AttributeError):
        return False
