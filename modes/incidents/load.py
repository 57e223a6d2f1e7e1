#!/usr/bin/env python3
"""One load: load.py KIND [ARGUMENT]... Begins with the first line on its input; some change their ways with the next ones.

Ends with its input, so that none outlives who started it; children die with it.
"""

import array
import ctypes
import mmap
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
BLOCK = 4096


def words():
    """What was said since the last time, without waiting; ends this process with its input."""
    said = []
    while select.select([0], [], [], 0)[0]:
        byte = os.read(0, 4096)
        if not byte:
            os._exit(0)
        said += byte.decode().split()
    return said


def wait(seconds=None):
    """Sleeps, or until something is said."""
    select.select([0], [], [], seconds)
    return words()


def children(count, work):
    """Runs `work(number)` in processes, until the input ends."""
    for number in range(count):
        if os.fork() == 0:
            LIBC.prctl(1, signal.SIGKILL)
            work(number)
            os._exit(0)
    while True:
        wait()


def spin(processes):
    def work(_):
        while True:
            pass
    children(int(processes), work)


def paced(share):
    """So much of one CPU, in slices of 10 ms; all of it when told `full`."""
    share = float(share)
    while True:
        if "full" in words():
            share = 1.0
        begun = time.monotonic()
        while time.monotonic() - begun < 0.01 * share:
            pass
        time.sleep(0.01 * (1 - share))


def aligned(byte):
    buffer = mmap.mmap(-1, 16 * BLOCK)
    buffer.write(bytes([byte]) * len(buffer))
    return buffer


def storm(folder, processes):
    """Reads and writes all over files, past the page cache."""
    size = 128 << 20

    def work(number):
        path = f"{folder}/storm-{number}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
        os.unlink(path)
        os.posix_fallocate(file, 0, size)
        buffer = aligned(number)
        while True:
            at = random.randrange(0, size - len(buffer), BLOCK)
            if random.random() < 0.7:
                os.pwritev(file, [buffer], at)
            else:
                os.preadv(file, [buffer], at)
    children(int(processes), work)


def writer(path, per_second):
    """Writes so many blocks a second to a file or device, past the page cache."""
    file = os.open(path, os.O_RDWR | os.O_DIRECT)
    size = os.lseek(file, 0, os.SEEK_END)
    buffer = memoryview(aligned(7))[:BLOCK]
    while True:
        os.pwritev(file, [buffer], random.randrange(0, size - BLOCK, BLOCK))
        time.sleep(random.expovariate(float(per_second)))
        words()


def reader(path):
    """Reads pages of a mapped file at random: a few of them, or the whole of it when told `all`."""
    with open(path, "rb") as file:
        pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    pages.madvise(mmap.MADV_RANDOM)
    hot = len(pages) // 16
    while True:
        if "all" in words():
            hot = len(pages)
        for _ in range(200):
            pages[random.randrange(hot)]
        time.sleep(0.005)


def forks(processes):
    def work(_):
        while True:
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
    children(int(processes), work)


def syscalls(processes):
    def work(_):
        ask = os.getppid
        while True:
            for _ in range(1000):
                ask()
    children(int(processes), work)


def convoy(processes):
    """Processes that hand a lock to the next one, which has slept meanwhile: two futex calls for each piece of work."""
    count = int(processes)
    shared = mmap.mmap(-1, BLOCK)
    turns = (ctypes.c_uint32 * count).from_buffer(shared)
    futex, wait_op, wake_op = {"x86_64": 202, "aarch64": 98}[os.uname().machine], 0, 1

    def work(number):
        own = ctypes.byref(turns, 4 * number)
        following = (number + 1) % count
        other = ctypes.byref(turns, 4 * following)
        while True:
            while turns[number] == 0:
                LIBC.syscall(futex, own, wait_op, 0, None, None, 0)
            turns[number] = 0
            turns[following] = 1
            LIBC.syscall(futex, other, wake_op, 1, None, None, 0)
    turns[0] = 1
    children(count, work)


def pairs(count):
    """Connections through the loopback device, both ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(count):
            sender = socket.create_connection(server.getsockname())
            receiver, _ = server.accept()
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield sender, receiver


def losing(percent):
    """A filter that drops this part of what a socket receives, before TCP sees it (classic BPF)."""
    load_random = struct.pack("HBBI", 0x20, 0, 0, 0xFFFFF000 + 56)
    is_less = struct.pack("HBBI", 0x35, 0, 1, int(percent / 100 * 2**32))
    keep, drop = struct.pack("HBBI", 0x06, 0, 0, 0xFFFFFFFF), struct.pack("HBBI", 0x06, 0, 0, 0)
    program = array.array("B", load_random + is_less + keep + drop)
    return program, struct.pack("HxxxxxxP", 4, program.buffer_info()[0])


def chatter(connections, per_second):
    """Small messages both ways; when told `lose`, a part of the segments is lost; until `keep`."""
    attach, detach = 26, 27
    program, filtered = losing(20)
    all_of_them = list(pairs(int(connections)))

    def answer(receiver):
        while data := receiver.recv(65536):
            receiver.sendall(data)

    def take(sender):
        while sender.recv(65536):
            pass
    for sender, receiver in all_of_them:
        threading.Thread(target=answer, args=[receiver], daemon=True).start()
        threading.Thread(target=take, args=[sender], daemon=True).start()
        sender.setblocking(True)
    while True:
        for word in words():
            for _, receiver in all_of_them:
                if word == "lose":
                    receiver.setsockopt(socket.SOL_SOCKET, attach, filtered)
                elif word == "keep":
                    receiver.setsockopt(socket.SOL_SOCKET, detach, 0)
        try:
            random.choice(all_of_them)[0].send(b"x" * random.randrange(50, 1500), socket.MSG_DONTWAIT)
        except BlockingIOError:
            # Full, since what is lost is not confirmed.
            pass
        time.sleep(random.expovariate(float(per_second)))


def connects(per_second):
    """Connects to a server; when told `close` there is none, so that they are refused."""
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    address = server.getsockname()
    while True:
        if "close" in words():
            server.close()
        try:
            with socket.create_connection(address, 1):
                server.accept()[0].close()
        except OSError:
            pass
        time.sleep(random.expovariate(float(per_second)))


def leak(megabytes_per_second):
    """Memory that is written to once and never given back."""
    kept, begun, pages = [], time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begun) * float(megabytes_per_second))
        while pages < due:
            kept.append(bytearray(os.urandom(64) * (1 << 14)))
            pages += 1
        wait(0.1)


def periodic(folder, seconds, busy):
    """Computes and writes for `busy` seconds, every so many seconds."""
    seconds, busy, begun, turn = float(seconds), float(busy), time.monotonic(), 0
    while True:
        until = time.monotonic() + busy
        with open(f"{folder}/periodic", "wb") as file:
            while time.monotonic() < until:
                file.write(os.urandom(1 << 20))
                file.seek(0)
                os.fdatasync(file.fileno())
        turn += 1
        while (left := begun + turn * seconds - time.monotonic()) > 0:
            wait(left)


def background(folder):
    """What every machine does all the time: a little of everything, at irregular times."""
    threading.Thread(target=chatter_alone, daemon=True).start()
    while True:
        until = time.monotonic() + random.uniform(0.001, 0.02)
        while time.monotonic() < until:
            os.stat(folder)
        if random.random() < 0.1:
            with open(f"{folder}/background", "wb") as file:
                file.write(b"x" * random.randrange(1 << 14, 1 << 18))
                os.fsync(file.fileno())
        if random.random() < 0.05:
            os.spawnlp(os.P_WAIT, "true", "true")
        time.sleep(random.expovariate(10))
        words()


def chatter_alone():
    (sender, receiver), = pairs(1)
    while True:
        sender.sendall(b"x" * random.randrange(10, 5000))
        receiver.recv(65536)
        time.sleep(random.expovariate(20))


KINDS = {kind.__name__: kind for kind in [
    spin, paced, storm, writer, reader, forks, syscalls, convoy, chatter, connects, leak, periodic, background]}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in KINDS:
        sys.exit(f"usage: load.py {'|'.join(KINDS)} [ARGUMENT]...")
    if "go" in wait():
        KINDS[sys.argv[1]](*sys.argv[2:])
