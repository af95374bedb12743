"""The hostile child of the whole-channel fuzz: replays mutated traffic, bytes and descriptors.

Arguments: seed, how many sends, the file of the corpus (one base64 frame a line), whether handles
may be the channel itself. Prints what it did as one JSON line on stdout. Everything it does follows
from the seed, except where the kernel's timing decides how the other end's reads fall.
"""

import array
import base64
import importlib.util
import json
import os
import random
import select
import socket
import sys

spec = importlib.util.spec_from_file_location("peer", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile", "descriptors.py"))
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)

dice = random.Random(int(sys.argv[1]))
sends = int(sys.argv[2])
corpus = [base64.b64decode(line) for line in open(sys.argv[3])]
channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))
channel.setblocking(False)
advanced = os.environ["NODE_CHANNEL_SERIALIZATION_MODE"] == "advanced"
states = [kind for kind in peer.STATES if peer.possible(kind)]
if sys.argv[4] == "yes":
    spare = channel.dup()
    peer.STATES["channel"] = lambda: spare
    states.append("channel")
kinds = [kind for kind in peer.KINDS if peer.possible(kind)] + states
frames_with_handles = [frame for frame in corpus if b"NODE_HANDLE" in frame]

LENGTHS = [0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0xFFFF, 0x10000, 0x100000, 0x100001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
BYTES = [0, 1, 0x0A, 0x0D, 0x22, 0x24, 0x41, 0x5B, 0x5C, 0x5D, 0x5E, 0x6F, 0x7B, 0x7D, 0x7F, 0x80, 0xC0, 0xFE, 0xFF]
TEXTS = [b"NODE_HANDLE", b"NODE_HANDLE_ACK", b'"cmd":', b"__proto__", b"\xff\x0f", b"\\ud800", b"null", b"{}", b"[" * 600, b"\n", b"1e999", b"A\x80\x80\x80\x80\x08"]
counts = {"frames": 0, "descriptors": 0, "sends": 0, "bytes": 0}


def mutate(frame):
    data = bytearray(frame)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3, 8))):
        if not data:
            break
        at = dice.randrange(len(data))
        what = dice.randrange(10)
        if what == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif what == 1:
            data[at] = dice.choice(BYTES)
        elif what == 2:
            del data[at:at + dice.randrange(1, 9)]
        elif what == 3:
            data[at:at] = data[at:at + dice.randrange(1, 65)]
        elif what == 4:
            data[at:at] = dice.choice(TEXTS)
        elif what == 5:
            other = dice.choice(corpus)
            data = data[:at] + bytearray(other[dice.randrange(len(other)):])
        elif what == 6:
            data = data[:at]
        elif what == 7 and advanced and len(data) >= 4:
            data[:4] = max(0, dice.choice(LENGTHS + [len(data) - 4, len(data) - 3, len(data) - 5])).to_bytes(4, "big", signed=False)
        elif what == 8:
            other = dice.choice(corpus)
            data += other
        else:
            data[at:at + 1] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 5)))
    # A mutation of the content that keeps its frame is worth more than one that only breaks it, above
    # all where a wrong length costs everything that follows.
    if dice.random() < (0.97 if advanced else 0.7):
        if advanced and len(data) > 4:
            data[:4] = (len(data) - 4).to_bytes(4, "big")
        elif not advanced:
            data = bytearray(bytes(data).replace(b"\n", b" ") + b"\n")
    return bytes(data)


def drain():
    for _ in range(64):
        try:
            data, ancillary, _, _ = channel.recvmsg(65536, socket.CMSG_SPACE(253 * 4))
        except OSError:
            return
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                for number in memoryview(payload[: len(payload) & ~3]).cast("i"):
                    os.close(number)
        if not data:
            return


def write(data, fds):
    """False when the other end is gone or takes nothing more."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    if not data and rights:
        data = b"\n"
    idle = 0
    while data:
        try:
            sent = channel.sendmsg([data], rights)
        except BlockingIOError:
            if reads:
                drain()
            if not select.select([], [channel], [], 0.02)[1]:
                idle += 1
                if idle > 20:
                    return False
            continue
        except OSError as error:
            if error.errno == 109 and rights:
                rights = []
                continue
            return False
        data, rights = data[sent:], []
    return True


reads = dice.random() < 0.8
pieces = dice.random() < 0.2
for _ in range(sends):
    burst = dice.choice((1, 1, 1, 2, 5, 20))
    frames = [mutate(dice.choice(frames_with_handles if dice.random() < 0.4 else corpus)) for _ in range(burst)]
    fds = []
    if dice.random() < 0.5:
        few = [1] * 8 + [0, 2, 3, 16, 253]
        fds = [peer.descriptor(dice.choice(kinds)) for _ in range(dice.choice(few))]
    data = b"".join(frames)
    counts["sends"] += 1
    counts["frames"] += burst
    counts["descriptors"] += len(fds)
    counts["bytes"] += len(data)
    if pieces and len(data) > 1:
        cut = dice.randrange(1, len(data))
        good = write(data[:cut], fds) and write(data[cut:], [])
    else:
        good = write(data, fds)
    if reads and dice.random() < 0.3:
        drain()
    if not good:
        break
if dice.random() < 0.3:
    write(dice.choice(corpus)[:-1], [])
print(json.dumps(counts))
sys.stdout.flush()
os._exit(0)
