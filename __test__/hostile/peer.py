"""A peer that holds NODE_CHANNEL_FD raw and does exactly as told, bytes and descriptors alike.

Commands come as JSON lines on stdin, one answer a line on stdout. Only the standard library, and
no site packages, so that it starts fast.

  {"op":"send","data":b64,"fds":[kinds],"times":n,"piece":bytes,"settle":bool}
      writes `data` n times; the descriptors go with its first byte. `piece` cuts each write;
      `settle` waits after each write until the other end has read it.
  {"op":"parts","parts":[b64,...]}   one write each, the other end reads between them
  {"op":"reading","on":bool,"most":n,"answer":bool}   read in the background, at most n bytes at
      once; `answer` acknowledges each NODE_HANDLE line (JSON channels)
  {"op":"received"}                  what was read: {"data":b64,"fds":n,"handles":n,"lines":n,"bytes":n}
  {"op":"counted"}                   the same without the data
  {"op":"kinds"}                     the kinds of descriptors this system can make
  {"op":"close"}                     closes the channel
  {"op":"exit"}                      ends
"""

import array
import base64
import fcntl
import importlib.util
import json
import os
import select
import socket
import sys
import termios

# Only the descriptor's number says what it is; Node removes neither variable from a stranger's view.
channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))
channel.setblocking(False)
ADVANCED = os.environ.get("NODE_CHANNEL_SERIALIZATION_MODE") == "advanced"
ACK = b'{"cmd":"NODE_HANDLE_ACK"}\n'

spec = importlib.util.spec_from_file_location("descriptors", os.path.join(os.path.dirname(os.path.abspath(__file__)), "descriptors.py"))
descriptors = importlib.util.module_from_spec(spec)
spec.loader.exec_module(descriptors)
descriptors.STATES["channel"] = channel.dup
KINDS, descriptor, possible = descriptors.KINDS, descriptors.descriptor, descriptors.possible


class State:
    reading = False
    answer = False
    most = 65536
    data = bytearray()
    line = b""
    bytes = 0
    fds = 0
    handles = 0
    lines = 0
    ended = False
    keep = True


state = State()
answers = b""


def read_some():
    """Takes what is there; descriptors are counted and closed."""
    global answers
    try:
        data, ancillary, _, _ = channel.recvmsg(state.most, socket.CMSG_SPACE(253 * 4))
    except BlockingIOError:
        return
    except OSError:
        state.ended = True
        return
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
            state.fds += len(numbers)
            for number in numbers:
                os.close(number)
    if not data:
        state.ended = True
        return
    state.bytes += len(data)
    if state.keep:
        state.data += data
    if not ADVANCED:
        lines = (state.line + data).split(b"\n")
        state.line = lines.pop()
        state.lines += len(lines)
        for line in lines:
            if line.startswith(b'{"cmd":"NODE_HANDLE",'):
                state.handles += 1
                if state.answer:
                    answers += ACK


def flush_answers():
    global answers
    if not answers:
        return
    try:
        answers = answers[channel.send(answers):]
    except BlockingIOError:
        pass
    except OSError:
        answers = b""
        state.ended = True


def wait(write, timeout=None):
    """Waits until the channel can be written, and reads meanwhile when told to."""
    readable = [channel] if state.reading and not state.ended else []
    ready, writable, _ = select.select(readable, [channel] if write else [], [], timeout)
    if ready:
        read_some()
    flush_answers()
    return bool(writable)


def settle():
    """Until the other end has read everything."""
    while True:
        word = fcntl.ioctl(channel, termios.TIOCOUTQ, b"\0\0\0\0")
        if int.from_bytes(word, sys.byteorder) == 0:
            return
        wait(False, 0.0005)


def write(data, fds=()):
    """Writes all of it; the descriptors go with the first byte."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    while data or rights:
        try:
            sent = channel.sendmsg([data], rights)
        except BlockingIOError:
            wait(True)
            continue
        except OSError as error:
            # ETOOMANYREFS: too many descriptors in flight; the reader will take some.
            if error.errno == 109 and rights:
                wait(False, 0.001)
                continue
            raise
        data, rights = data[sent:], []


def send(command):
    data = memoryview(base64.b64decode(command["data"]))
    piece = command.get("piece") or len(data)
    settled = command.get("settle")
    for _ in range(command.get("times", 1)):
        fds = [descriptor(kind) for kind in command.get("fds", ())]
        for start in range(0, len(data), max(piece, 1)):
            write(data[start:start + piece], fds)
            fds = []
            if settled:
                settle()
        if state.reading:
            wait(False, 0)


def run(command):
    op = command["op"]
    if op == "send":
        send(command)
    elif op == "parts":
        for part in command["parts"]:
            write(base64.b64decode(part))
            settle()
    elif op == "settle":
        settle()
    elif op == "reading":
        state.reading = command["on"]
        state.most = command.get("most", 65536)
        state.answer = command.get("answer", False)
        state.keep = command.get("keep", True)
    elif op in ("received", "counted"):
        found = {"fds": state.fds, "handles": state.handles, "lines": state.lines, "bytes": state.bytes}
        if op == "received":
            found["data"] = base64.b64encode(state.data).decode()
        return found
    elif op == "kinds":
        return {"kinds": [kind for kind in KINDS if possible(kind)]}
    elif op == "close":
        channel.close()
    elif op == "exit":
        os._exit(0)
    else:
        raise ValueError(op)
    return {}


def answer(found):
    os.write(1, json.dumps(found).encode() + b"\n")


def main():
    pending = b""
    while True:
        watched = [0]
        if state.reading and not state.ended and channel.fileno() >= 0:
            watched.append(channel)
        ready, _, _ = select.select(watched, [channel] if answers else [], [], None)
        flush_answers()
        if channel in ready:
            read_some()
        if 0 not in ready:
            continue
        chunk = os.read(0, 1 << 20)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            try:
                found = run(json.loads(line))
            except OSError as error:
                found = {"errno": error.errno}
            answer(found)


main()
os._exit(0)
