"""Measure the speed of the service on this machine: `poe bench`.

First measures each kind of concurrency (docs/concurrency.md), then the service: one process, started as in production,
on the embedded PostgreSQL. The client is written in Python and uses a large part of the CPU, so the results are lower
bounds. Compare results only from the same machine and day. For absolute numbers, use `poe serve` and a load generator
such as wrk.
"""

import argparse
import asyncio
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import httpx2

from app.core.concurrency import bounded_map
from app.core.config import ABOUT
from app.core.database.embedded import start
from app.core.runtime import current, parallel_map

DATABASE = f"{ABOUT.name}-bench"
EMAIL = "admin@example.com"
PASSWORD = secrets.token_urlsafe()


class Load(NamedTuple):
    """Measurements of one kind of request."""

    rate: float
    p50: float
    p99: float


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """Yield environment variables for a service with a new database and one admin."""
    url = start(DATABASE)
    drop = f'DROP DATABASE "{DATABASE}" WITH (FORCE);'
    sql(drop, f'CREATE DATABASE "{DATABASE}"')
    # Not "production", because slices may require secrets there. Otherwise the settings are the same.
    environment = os.environ | {"DATABASE_URL": url, "ENVIRONMENT": "test"}
    try:
        app(environment, "migrate")
        app(environment, "user", "--admin", EMAIL, given=PASSWORD)
        yield environment
    finally:
        sql(drop)


def sql(*statements: str) -> None:
    commands = [option for statement in statements for option in ("-c", statement)]
    app(os.environ | {"DATABASE_URL": start("postgres")}, "db", "-q", *commands)


def app(environment: dict[str, str], *arguments: str, given: str = "") -> None:
    command = [sys.executable, "-m", "app", *arguments]
    subprocess.run(command, env=environment, input=f"{given}\n", text=True, stdout=subprocess.DEVNULL, check=True)


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple[httpx2.Client, int, float]]:
    """Start the service. Yield a client, the process id, and the seconds until the first 200."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        started = time.perf_counter()
        command = [sys.executable, "-m", "app", "serve"]
        process = subprocess.Popen(command, env=environment | {"PORT": str(port)}, stdout=subprocess.DEVNULL)
        try:
            while not alive(client):
                if process.poll() is not None:
                    sys.exit("The service does not start.")
                time.sleep(0.005)
            yield client, process.pid, time.perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def alive(client: httpx2.Client) -> bool:
    try:
        return client.get("/health/live").is_success
    except httpx2.TransportError:
        return False


def log_in(client: httpx2.Client) -> str:
    """Return a token of the admin."""
    answer = client.post("/api/v1/auth/token", data={"grant_type": "password", "username": EMAIL, "password": PASSWORD})
    return str(answer.raise_for_status().json()["access_token"])


def memory(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


async def load(client: httpx2.Client, path: str, token: str, connections: int, seconds: float) -> Load:
    """Request `path` over concurrent connections. Each connection waits for a response before its next request."""
    asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        while (started := time.perf_counter()) < end:
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                sys.exit(f"GET {path} was answered: {head.decode()}")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            times.append(time.perf_counter() - started)
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(ask())
    hundredths = statistics.quantiles(times, n=100)
    return Load(len(times) / seconds, hundredths[49] * 1000, hundredths[98] * 1000)


def export(client: httpx2.Client, pid: int, token: str) -> tuple[float, float, float]:
    """Export all users. Return the seconds to the first byte, the users per second, and the memory growth in MiB."""
    before = peak = memory(pid)
    lines = 0
    first = 0.0
    looked = started = time.perf_counter()
    with client.stream("GET", "/api/v1/users/export", headers={"Authorization": f"Bearer {token}"}) as response:
        for chunk in response.iter_raw():
            now = time.perf_counter()
            first = first or now - started
            lines += chunk.count(b"\n")
            if now - looked > 0.1:
                looked, peak = now, max(peak, memory(pid))
    return first, lines / (time.perf_counter() - started), max(peak, memory(pid)) - before


def collatz(number: int) -> int:
    """Return the number of Collatz steps to 1, as CPU-bound work."""
    steps = 0
    while number > 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return steps


def longest(start: int) -> int:
    return max(map(collatz, range(start, start + 20_000)))


async def hand_off(function: Callable[[int], Awaitable[object]], calls: int) -> float:
    """Return the microseconds per call of a function that does nothing."""
    started = time.perf_counter()
    await bounded_map(function, range(calls), limit=8)
    return (time.perf_counter() - started) / calls * 1_000_000


async def thread(number: int) -> int:
    return await asyncio.to_thread(abs, number)


def gains() -> tuple[float, float]:
    """Return the speed-up of threads and of `parallel_map`, relative to one core."""
    parts = range(1, 400_000, 20_000)
    times = []
    results = []
    with ThreadPoolExecutor() as threads:
        for way in (map, threads.map, parallel_map):
            started = time.perf_counter()
            results.append(list(way(longest, parts)))
            times.append(time.perf_counter() - started)
    assert results[0] == results[1] == results[2]
    return times[0] / times[1], times[0] / times[2]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure requests a second, memory and start.")
    parser.add_argument("--connections", type=int, default=32, help="concurrent connections (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=100_000, help="users to export (default: %(default)s)")
    options = parser.parse_args()

    def row(what: str, figure: str) -> None:
        print(f"{what:<32}{figure}", flush=True)

    runtime = current()
    by = "processes" if runtime.gil else "threads"
    row("a call by bounded_map", f"{asyncio.run(hand_off(partial(asyncio.sleep, 0), 20_000)):.0f} µs")
    row("a call by to_thread", f"{asyncio.run(hand_off(thread, 5_000)):.0f} µs")
    started = time.perf_counter()
    parallel_map(abs, [1])
    row("parallel_map, to begin", f"{(time.perf_counter() - started) * 1000:.0f} ms")
    threads, parallel = gains()
    row(f"threads on {runtime.cores} cores", f"{threads:.1f} times as fast as one")
    row(f"parallel_map on {runtime.cores} cores", f"{parallel:.1f} times as fast as one, by {by}")
    with database() as environment:
        with serving(environment) as (client, pid, seconds):
            row("start to first answer", f"{seconds:.2f} s")
            row("resident memory at rest", f"{memory(pid):.0f} MiB")
            token = log_in(client)
            for path in ("/health/live", "/api/v1/users/me"):
                asyncio.run(load(client, path, token, options.connections, 1))  # warm-up
                got = asyncio.run(load(client, path, token, options.connections, options.seconds))
                row(f"GET {path}", f"{got.rate:.0f} requests/s, p50 {got.p50:.1f} ms, p99 {got.p99:.1f} ms")
            row("resident memory after that", f"{memory(pid):.0f} MiB")
        insert = (
            "INSERT INTO users (name, email, password)"
            " SELECT 'User ' || n, 'user' || n || '@example.com', 'none'"
            f" FROM generate_series(1, {options.rows}) AS n"
        )
        app(environment, "db", "-q", "-c", insert)
        with serving(environment) as (client, pid, _):
            first, rate, grown = export(client, pid, log_in(client))
            row(f"export of {options.rows:,} users", f"first byte after {first * 1000:.0f} ms, {rate:.0f} users/s")
            row("resident memory grows by", f"{grown:.1f} MiB")


if __name__ == "__main__":
    main()
