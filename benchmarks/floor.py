"""The baseline of a FastAPI service: the minimum that FastAPI and SQLAlchemy need for the same responses.

No middleware, token or log; the same server, pool and table. Runs with the service's own Python.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Form, HTTPException
from pwdlib import PasswordHash
from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, DateTime, Text, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=int(os.environ["DATABASE_POOL_SIZE"]),
    max_overflow=0,
    pool_pre_ping=True,
)
sessions = async_sessionmaker(engine)
passwords = PasswordHash.recommended()


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    password: Mapped[str | None] = mapped_column(Text)
    last_login: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    issuer: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool]
    is_admin: Mapped[bool] = mapped_column("is_superuser")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class UserResponse(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    email: str | None
    is_admin: bool
    created_at: datetime


async def get_db() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/api/v1/users/{user_id}", response_model=UserResponse)
async def get_user(user_id: int, db: Annotated[AsyncSession, Depends(get_db)]) -> User:
    user = await db.get(User, user_id)
    if user is None:
        raise HTTPException(404)
    return user


@app.post("/api/v1/auth/token")
async def log_in(
    username: Annotated[str, Form()], password: Annotated[str, Form()], db: Annotated[AsyncSession, Depends(get_db)]
) -> dict[str, str]:
    hashed = await db.scalar(select(User.password).where(User.email == username))
    if not await asyncio.to_thread(passwords.verify, password, hashed or ""):
        raise HTTPException(401)
    return {"access_token": "none"}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
