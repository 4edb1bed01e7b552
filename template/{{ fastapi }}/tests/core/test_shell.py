import subprocess
import sys

import pytest


@pytest.mark.slow
def test_shell_imports_every_model(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "shell"],
        input="print(await session.scalar(select(User.id).where(User.id < 0)))\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "User" in done.stdout.splitlines()[0]
    assert "None" in done.stdout.replace(">>> ", "").splitlines()
