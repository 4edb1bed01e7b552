"""The tables of the queue are Procrastinate's, made by its own SQL: Alembic has nothing to compare them with."""

from app.db import Base

Base.metadata.info["foreign_tables"] = (*Base.metadata.info.get("foreign_tables", ()), "procrastinate_")
