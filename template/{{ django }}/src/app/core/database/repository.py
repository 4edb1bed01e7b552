"""All SQL stands in repositories: what the service asks of storage, whatever storage is made of."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from app.core.http.pagination import Paginator
from app.core.problems import require_values


@runtime_checkable
class Repository[T](Protocol):
    """Storage for one kind of entity."""

    def get(self, entity_id: Any, /) -> T | None: ...
    def create(self, data: Mapping[str, Any], /) -> T: ...
    def delete(self, entity_id: Any, /) -> bool: ...


class BaseRepository[M: Model]:
    """The `Repository` of a model. A subclass names the model and adds its queries."""

    model: type[M]
    _by_key: ClassVar[str] = ""

    @property
    def rows(self) -> QuerySet[M]:
        """All rows of the model. A subclass may narrow it, or leave columns out."""
        return self.model._default_manager.all()  # noqa: SLF001 -- public in Django, whatever its name

    def get(self, entity_id: Any, /) -> M | None:
        """Return the entity with this primary key, or None."""
        # Measured: as a new query set each time this takes 0.43 ms in place of 0.31, PostgreSQL's part included.
        cls = type(self)
        if not cls._by_key:
            cls._by_key, _ = self.rows.filter(pk=RawSQL("%s", ("",))).query.sql_with_params()
        return next(iter(self.model._default_manager.raw(cls._by_key, [entity_id])), None)  # noqa: SLF001 -- as above

    def page(self, paginator: Paginator, query: QuerySet[M] | None = None) -> tuple[list[M], int]:
        """Return one page of the rows of `query`, by key without one, and how many rows there are in all."""
        query = self.rows.order_by("pk") if query is None else query
        return list(query[paginator.offset : paginator.offset + paginator.size]), query.count()

    def create(self, data: Mapping[str, Any], /) -> M:
        """Insert an entity and return it. IntegrityError when a constraint refuses it."""
        entity = self.model(**data)
        entity.save(force_insert=True)
        return entity

    def update(self, entity: M, data: Mapping[str, Any], /) -> M:
        """Change fields of an entity, such as `model_dump(exclude_unset=True)` of a schema.

        Unprocessable for None in a column that is NOT NULL: `null` in a PATCH of `name: ShortText | None = None`.
        """
        if None in data.values():
            fields = [field for field in self.model._meta.concrete_fields if not field.null]  # noqa: SLF001 -- as above
            require_values(data, {name for field in fields for name in (field.name, field.attname)})
        for name, value in data.items():
            setattr(entity, name, value)
        entity.save(update_fields=list(data))
        return entity

    def delete(self, entity_id: Any, /) -> bool:
        """Delete the entity with this primary key; return whether there was one."""
        return self.rows.filter(pk=entity_id).delete()[0] > 0
