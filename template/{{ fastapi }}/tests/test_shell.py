"""The shell, as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_shell_knows_every_model(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asyncio"],
        input="print(await session.scalar(select(User.id).where(User.id < 0)))\n",
        env=os.environ | {"PYTHONSTARTUP": "src/app/shell.py"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "User" in done.stdout.splitlines()[0]
    assert "None" in done.stdout.replace(">>> ", "").splitlines()
