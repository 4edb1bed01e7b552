"""The repository pattern: all SQL is in repositories, and services call their methods."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from app.core.http.pagination import Window
from app.core.problems import require_values
from app.core.schemas import ListQuery


@runtime_checkable
class Repository[T](Protocol):
    """Storage of one kind of entity."""

    def get(self, entity_id: Any, /) -> T | None: ...
    def create(self, data: Mapping[str, Any], /) -> T: ...
    def delete(self, entity_id: Any, /) -> bool: ...


class BaseRepository[M: Model]:
    """The `Repository` of a model. A subclass names the model and adds its queries."""

    model: type[M]
    _by_key: ClassVar[tuple[str, tuple[Any, ...]]] = ("", ())

    @property
    def rows(self) -> QuerySet[M]:
        """All rows of the model. A subclass may add a filter or defer columns."""
        return self.model._default_manager.all()  # noqa: SLF001 -- documented by Django, despite its name

    def get(self, entity_id: Any, /) -> M | None:
        """Return the entity with this primary key, or None."""
        # Cache the SQL: a call takes 0.31 ms, and 0.43 ms with a new query set, including PostgreSQL's time.
        cls = type(self)
        if not cls._by_key[0]:
            sql, parameters = self.rows.filter(pk=RawSQL("%s", ("",))).query.sql_with_params()
            cls._by_key = sql, parameters[:-1]
        sql, filters = cls._by_key
        return next(iter(self.model._default_manager.raw(sql, [*filters, entity_id])), None)  # noqa: SLF001 -- as above

    def get_for_update(self, entity_id: Any, /) -> M | None:
        """Lock the row until the end of the transaction, and return the entity with its latest values, or None."""
        return self.rows.select_for_update(no_key=True).filter(pk=entity_id).first()

    def page(self, paginator: Window, query: QuerySet[M] | None = None) -> tuple[list[M], int]:
        """Return one page of `query`, by default of all rows sorted by key, and the total number of rows.

        A ListQuery sorts the rows; the key is the last field, so that no row is on two pages.
        """
        if isinstance(paginator, ListQuery):
            query = (self.rows if query is None else query).order_by(*_sorted(paginator.order))
        elif query is None:
            query = self.rows.order_by("pk")
        return list(query[paginator.offset : paginator.offset + paginator.size]), query.count()

    def create(self, data: Mapping[str, Any], /) -> M:
        """Insert an entity and return it. Raise IntegrityError when a constraint refuses it."""
        entity = self.model(**data)
        entity.save(force_insert=True)
        return entity

    def update(self, entity: M, data: Mapping[str, Any], /) -> M:
        """Change fields of an entity, such as `model_dump(exclude_unset=True)` of a schema.

        Raise Unprocessable for None in a NOT NULL column, such as `null` in a PATCH of `name: ShortText | None = None`.
        """
        if None in data.values():
            fields = [field for field in self.model._meta.concrete_fields if not field.null]  # noqa: SLF001 -- as above
            require_values(data, {name for field in fields for name in (field.name, field.attname)})
        for name, value in data.items():
            setattr(entity, name, value)
        entity.save(update_fields=list(data))
        return entity

    def delete(self, entity_id: Any, /) -> bool:
        """Delete the entity with this primary key. Return whether it existed."""
        return self.rows.filter(pk=entity_id).delete()[0] > 0


def _sorted(order: dict[str, bool]) -> list[str]:
    order = order | {"pk": next(reversed(order.values()))}
    return [f"-{name}" if is_descending else name for name, is_descending in order.items()]
