"""What the service is called."""

import tomllib
from pathlib import Path
from typing import NamedTuple


class About(NamedTuple):
    """The service's names, as `about.toml` holds them."""

    name: str
    """Of the distribution, the image and the database."""
    title: str
    description: str


ABOUT = About(**tomllib.loads((Path(__file__).parent / "about.toml").read_text("utf-8")))
