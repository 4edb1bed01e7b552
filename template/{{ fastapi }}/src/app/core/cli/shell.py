"""Start-up script of `poe shell`: imports all models and opens `session`."""

from sqlalchemy import select  # noqa: F401 -- for the shell

from app.core.config import Settings
from app.core.database.base import Base, load_models
from app.core.database.engine import Database
from app.core.slices import import_all

load_models()
import_all("listeners")
globals().update({mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers})
database = Database.connect(Settings.load())
session = database.sessions()
print("Models:", *sorted(mapper.class_.__name__ for mapper in Base.registry.mappers))
print("Try: await session.scalar(select(User).limit(1))")
