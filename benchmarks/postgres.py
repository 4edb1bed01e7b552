"""A PostgreSQL of a rendered service's own, until standard input ends: prints its URL, then runs each line as SQL.

Run by the service's own Python, in the service's folder.
"""

import asyncio
import sys

import asyncpg
from app.embedded import start


async def main() -> None:
    url = start("bench")
    connection = await asyncpg.connect(url)
    print(url, flush=True)
    while statement := await asyncio.to_thread(sys.stdin.readline):
        await connection.execute(statement)
        print(flush=True)
    await connection.close()


asyncio.run(main())
