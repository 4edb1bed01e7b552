"""The start of `poe shell`: every model is imported, and `session` reaches the database."""

from sqlalchemy import select  # noqa: F401 -- for whoever types

from app.config import Settings
from app.db import Base, Database
from app.main import load_models

load_models()
globals().update({mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers})
database = Database.connect(Settings.load())
session = database.sessions()
print("Models:", *sorted(mapper.class_.__name__ for mapper in Base.registry.mappers))
print("Try: await session.scalar(select(User).limit(1))")
