#!/usr/bin/env python3
"""Clones and pushes per second of git servers that hold the same repositories; prints a table in Markdown.

Each server is asked by the same raw requests of git's protocol version 0 over HTTP: what `git clone` and `git push` send, without
what they do with the answer, which would cost more than the servers. Called by e2e/bench-git.
"""

import argparse
import dataclasses
import http.client
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

ZERO = "0" * 40
CLIENTS = [1, 16, 64]


@dataclasses.dataclass
class Server:
    """One server: how it is called and by whom, and the processes that are its own, in a control group of theirs."""

    name: str
    url: urllib.parse.ParseResult
    authorization: str
    processes: list[int]

    def path(self, repository: str) -> str:
        return f"{self.url.path}/{repository}.git"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=600)


def line(text: str) -> bytes:
    """A pkt-line (gitprotocol-common(5))."""
    return f"{len(text) + 4:04x}{text}".encode()


def git(repository: str, *arguments: str, give: bytes = b"") -> bytes:
    command = ["git", "-C", repository, "-c", "user.name=b", "-c", "user.email=b@example.com", *arguments]
    return subprocess.run(command, input=give, stdout=subprocess.PIPE, check=True).stdout


def request(connection, server: Server, method: str, path: str, kind: str = "", body: bytes = b""):
    """Sends a request; how many bytes came, and the first and last of them."""
    headers = {"Authorization": server.authorization}
    if kind:
        headers["Content-Type"] = f"application/x-git-{kind}-request"
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse()
    buffer, length, start, end = bytearray(1 << 20), 0, b"", b""
    while read := answer.readinto(buffer):
        if not start:
            start = bytes(buffer[: min(read, 200)])
        end = (end + bytes(buffer[max(0, read - 200) : read]))[-200:]
        length += read
    if answer.status != 200:
        raise RuntimeError(f"{server.name}: {method} {path}: {answer.status} {start!r}")
    return length, start, end


class Clone:
    name = "clone"

    def __init__(self, repository: str, folder: str):
        self.repository = repository
        head = git(folder, "rev-parse", "main").decode().strip()
        self.body = line(f"want {head} side-band-64k ofs-delta\n") + b"0000" + line("done\n")
        self.least = sum(file.stat().st_size for file in os.scandir(f"{folder}/objects/pack") if file.name.endswith(".pack")) * 9 // 10

    def prepare(self, _count: int):
        pass

    def run(self, server: Server, _number: int):
        connection, path = server.connect(), server.path(self.repository)
        request(connection, server, "GET", f"{path}/info/refs?service=git-upload-pack")
        length, start, end = request(connection, server, "POST", f"{path}/git-upload-pack", "upload-pack", self.body)
        connection.close()
        if not start.startswith(b"0008NAK\n") or not end.endswith(b"0000") or length < self.least:
            raise RuntimeError(f"{server.name}: no whole pack: {length} bytes, {start!r}, {end!r}")


class Push:
    """One commit with one file of 10 kB on top of main, as a branch of its own."""

    name = "push"

    def __init__(self, repository: str, folder: str):
        self.repository, self.folder, self.bodies, self.round = repository, folder, [], 0

    def prepare(self, count: int):
        self.round += 1
        self.bodies = []
        head = git(self.folder, "rev-parse", "main").decode().strip()
        for number in range(count):
            content = os.urandom(5000).hex().encode()
            blob = git(self.folder, "hash-object", "-w", "--stdin", give=content).decode().strip()
            tree = git(self.folder, "ls-tree", head) + f"100644 blob {blob}\tpushed\n".encode()
            tree = git(self.folder, "mktree", give=tree).decode().strip()
            commit = git(self.folder, "commit-tree", tree, "-p", head, "-m", f"{number}").decode().strip()
            pack = git(self.folder, "pack-objects", "--stdout", "--revs", "--thin", "-q", give=f"{commit}\n^{head}\n".encode())
            self.bodies.append((commit, pack))

    def run(self, server: Server, number: int):
        commit, pack = self.bodies[number]
        branch = f"refs/heads/bugfix/phase-1-{self.round}-{number}"
        connection, path = server.connect(), server.path(self.repository)
        request(connection, server, "GET", f"{path}/info/refs?service=git-receive-pack")
        body = line(f"{ZERO} {commit} {branch}\0report-status\n") + b"0000" + pack
        _, start, _ = request(connection, server, "POST", f"{path}/git-receive-pack", "receive-pack", body)
        connection.close()
        if b"unpack ok" not in start or b"ok " + branch.encode() not in start:
            raise RuntimeError(f"{server.name}: not pushed: {start!r}")


def tree(roots: list[int]) -> list[int]:
    """The processes and what they have started."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found, pending = [], list(roots)
    while pending:
        process = pending.pop()
        found.append(process)
        pending.extend(children.get(process, []))
    return found


def cpu(roots: list[int]) -> float:
    """Seconds that the control group of the first process has used: also those of processes that are gone."""
    with open(f"/proc/{roots[0]}/cgroup", encoding="utf-8") as file:
        groups = {kind: path for _, kind, path in (line.rstrip("\n").split(":", 2) for line in file)}
    for kinds, path in groups.items():
        if "cpuacct" in kinds.split(","):
            with open(f"/sys/fs/cgroup/cpuacct{path}/cpuacct.usage", encoding="utf-8") as file:
                return int(file.read()) / 1e9
    with open(f"/sys/fs/cgroup{groups['']}/cpu.stat", encoding="utf-8") as file:
        return int(dict(line.split() for line in file)["usage_usec"]) / 1e6


def memory(roots: list[int]) -> int:
    """Bytes of memory of their own; what several share is counted once, and files that are mapped are not."""
    total = 0
    for process in tree(roots):
        try:
            with open(f"/proc/{process}/smaps_rollup", encoding="utf-8") as file:
                facts = dict(part.split(":", 1) for part in file.read().splitlines()[1:])
            total += int(facts["Pss_Anon"].split()[0]) * 1024
        except (OSError, KeyError):
            continue
    return total


@dataclasses.dataclass
class Measured:
    per_second: float
    median: float
    worst: float
    cpu: float
    memory: int


def measure(server: Server, work, clients: int, count: int) -> Measured:
    """`count` operations by so many clients at once; each begins the next when one is done."""
    numbers, taken, failures, lock = iter(range(count)), [], [], threading.Lock()

    def client():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None or failures:
                return
            start = time.monotonic()
            try:
                work.run(server, number)
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failures.append(error)
                return
            taken.append(time.monotonic() - start)

    peak, over = [0], threading.Event()

    def watch():
        while not over.wait(0.1):
            peak[0] = max(peak[0], memory(server.processes))

    watcher = threading.Thread(target=watch)
    before, start = cpu(server.processes), time.monotonic()
    watcher.start()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - start
    over.set()
    watcher.join()
    if failures:
        raise failures[0]
    # Processes that answered last end a moment later.
    time.sleep(0.3)
    used = (cpu(server.processes) - before) / count
    taken.sort()
    worst = taken[min(len(taken) - 1, int(len(taken) * 0.99))]
    return Measured(count / elapsed, statistics.median(taken), worst, used, peak[0])


def count_of(work, size: str, clients: int) -> int:
    """Enough for a 99th percentile where one takes milliseconds, and not all day where it takes seconds."""
    if work.name == "clone" and size == "large":
        return max(20, clients)
    return 100 if clients == 1 else 200


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", nargs=4, action="append", metavar=("NAME", "URL", "AUTHORIZATION", "PIDS"), required=True)
    parser.add_argument("--repository", nargs=3, action="append", metavar=("SIZE", "NAME", "FOLDER"), required=True)
    arguments = parser.parse_args()
    servers = []
    for name, url, authorization, pids in arguments.server:
        servers.append(Server(name, urllib.parse.urlparse(url), authorization, [int(pid) for pid in pids.split(",")]))
    print("| | repository | clients | server | per second | p50 | p99 | CPU of one | memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for size, name, folder in arguments.repository:
        megabytes = sum(file.stat().st_size for file in os.scandir(f"{folder}/objects/pack")) / 1e6
        for work in (Clone(name, folder), Push(name, folder)):
            for clients in CLIENTS:
                count = count_of(work, size, clients)
                work.prepare(count)
                for server in servers:
                    print(f"{work.name} {name} {clients} {server.name}", file=sys.stderr, flush=True)
                    if work.name == "clone":
                        # What is read from the disk for the first time is read before.
                        work.run(server, 0)
                    result = measure(server, work, clients, count)
                    cells = [
                        work.name,
                        f"{megabytes:.0f} MB",
                        str(clients),
                        server.name,
                        f"{result.per_second:.1f}",
                        seconds(result.median),
                        seconds(result.worst),
                        seconds(result.cpu),
                        f"{result.memory / 1e6:.0f} MB",
                    ]
                    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
