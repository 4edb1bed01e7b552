"""Prints the functions of `src/app` that requests enter (see walk.py). Runs with the service's own Python.

Needs the example slices. Its user, product and orders stay in the development database.
"""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType

import httpx2

SOURCE = f"{Path('src/app').absolute()}{os.sep}"
PASSWORD = secrets.token_urlsafe()


class Entered:
    """Records each entry into a function of `src/app`; a coroutine counts once."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.entered: set[FrameType] = set()

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        code: CodeType = frame.f_code
        if event == "call" and code.co_filename.startswith(SOURCE) and frame not in self.entered:
            self.entered.add(frame)
            self.steps.append(f"{code.co_filename.removeprefix(SOURCE)} {code.co_qualname}")


def main() -> None:
    import_module("app.core.database.embedded").ensure_database()
    command = [sys.executable, "-m", "app"]
    subprocess.run([*command, "migrate"], check=True, capture_output=True)
    email = f"{secrets.token_hex(8)}@example.com"
    subprocess.run([*command, "user", "--admin", email], check=True, input=PASSWORD.encode(), capture_output=True)
    with client() as send:
        tokens = send(
            "POST", "/auth/token", data={"grant_type": "password", "username": email, "password": PASSWORD}
        ).json()
        own = partial(send, headers={"Authorization": f"Bearer {tokens['access_token']}"})
        user = own("GET", "/users/me").json()
        product = own("POST", "/products", json={"name": "Walked", "price": "1.00", "stock": 10}).json()
        order = {"lines": [{"product_id": product["id"], "quantity": 1}]}
        walk("POST /orders", partial(own, "POST", "/orders", json=order))
        walk("GET /users/{id}", partial(own, "GET", f"/users/{user['id']}"))


def walk(name: str, request: Callable[[], object]) -> None:
    """Print the functions that the second `request` enters."""
    request()
    entered = Entered()
    sys.setprofile(entered)
    try:
        request()
    finally:
        sys.setprofile(None)
    print(f"request: {name}", *(f"enter: {step}" for step in entered.steps), sep="\n", flush=True)


@contextmanager
def client() -> Iterator[Callable[..., httpx2.Response]]:
    """Send a request to the application in this thread, because a profile belongs to a thread."""
    if Path("manage.py").exists():
        transport = httpx2.WSGITransport(import_module("app.wsgi").application)
        with httpx2.Client(transport=transport, base_url="http://localhost/api/v1") as synchronous:
            yield lambda *args, **options: synchronous.request(*args, **options).raise_for_status()
    else:
        app = import_module("app.main").create_app()
        asynchronous = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost/api/v1")
        with asyncio.Runner() as runner:
            yield lambda *args, **options: runner.run(asynchronous.request(*args, **options)).raise_for_status()
            runner.run(asynchronous.aclose())


if __name__ == "__main__":
    main()
