"""The repository pattern: all SQL is in repositories, and services call their methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from sqlalchemy import ColumnElement, Select, bindparam, func, inspect, select

from app.core.database.base import Base
from app.core.database.sessions import ReadSession, WriteSession
from app.core.http.pagination import Window
from app.core.problems import require_values
from app.core.schemas import ListQuery


@runtime_checkable
class Repository[T](Protocol):
    """Storage of one kind of entity."""

    async def get(self, entity_id: Any, /) -> T | None: ...
    async def create(self, data: Mapping[str, Any], /) -> T: ...
    async def delete(self, entity_id: Any, /) -> bool: ...


@dataclass
class BaseRepository[Model: Base, Session: ReadSession]:
    """A `Repository` for a model with a primary key of one column. A subclass sets `model` and adds queries.

    A method that writes declares `self: "ThatRepository[WriteSession]"`, so that its call with a read session is a type
    error.
    """

    model: ClassVar[Any]
    _key: ClassVar[Any]
    _by_key: ClassVar[Any]
    session: Session

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Build the statement once: building takes 13 of the 150 microseconds of a call.
        [cls._key] = inspect(cls.model).primary_key
        cls._by_key = select(cls.model).where(cls._key == bindparam("key"))

    async def get(self, entity_id: Any, /) -> Model | None:
        """Return the entity with this primary key, or None."""
        return (await self.session.execute(self._by_key, {"key": entity_id})).scalar_one_or_none()

    async def get_for_update(self: "BaseRepository[Model, WriteSession]", entity_id: Any, /) -> Model | None:
        """Lock the row until the end of the transaction, and return the entity with its latest values, or None."""
        locked = self._by_key.with_for_update(key_share=True).execution_options(populate_existing=True)
        return (await self.session.execute(locked, {"key": entity_id})).scalar_one_or_none()

    async def page(self, paginator: Window, query: Select[Model] | None = None) -> tuple[list[Model], int]:
        """Return one page of `query`, by default of all rows sorted by key, and the total number of rows.

        A ListQuery sorts the rows; the key is the last field, so that no row is on two pages.
        """
        if isinstance(paginator, ListQuery):
            query = (select(self.model) if query is None else query).order_by(*self._sorted(paginator.order))
        elif query is None:
            query = select(self.model).order_by(self._key)
        rows = await self.session.scalars(query.offset(paginator.offset).limit(paginator.size))
        counted = query.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)
        return list(rows), await self.session.scalar(counted) or 0

    def _sorted(self, order: dict[str, bool]) -> list[ColumnElement[Any]]:
        order = order | {self._key.key: order.get(self._key.key, next(reversed(order.values())))}
        columns = [(getattr(self.model, name), is_descending) for name, is_descending in order.items()]
        return [column.desc() if is_descending else column.asc() for column, is_descending in columns]

    async def create(self: "BaseRepository[Model, WriteSession]", data: Mapping[str, Any], /) -> Model:
        """Insert an entity and return it with the database's values. Raise IntegrityError when a constraint fails."""
        entity: Model = self.model(**data)
        self.session.add(entity)
        await self.session.flush()
        return entity

    async def update(self: "BaseRepository[Model, WriteSession]", entity: Model, data: Mapping[str, Any], /) -> Model:
        """Change fields of an entity, such as `model_dump(exclude_unset=True)` of a schema.

        Raise Unprocessable for None in a NOT NULL column, such as `null` in a PATCH of `name: ShortText | None = None`.
        """
        if None in data.values():
            required = {name for name, column in inspect(self.model).columns.items() if not column.nullable}
            require_values(data, required)
        for name, value in data.items():
            setattr(entity, name, value)
        await self.session.flush()
        return entity

    async def delete(self: "BaseRepository[Model, WriteSession]", entity_id: Any, /) -> bool:
        """Delete the entity with this primary key. Return whether it existed."""
        entity = await self.get(entity_id)
        if entity is None:
            return False
        await self.session.delete(entity)
        await self.session.flush()
        return True
