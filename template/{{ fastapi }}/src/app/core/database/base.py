"""Base class of models, and the import of all models."""

from sqlalchemy import MetaData
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, configure_mappers

from app.core.slices import SliceError, import_all


class Base(DeclarativeBase):
    """Base class of models. Constraints have predictable names, so that a migration can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # Also load what an UPDATE sets in the database, as `onupdate=func.now()`: an async session cannot load it later.
    __mapper_args__ = {"eager_defaults": True}


def load_models() -> None:
    """Import the models of core and of all slices into the metadata."""
    import_all("models")
    try:
        configure_mappers()
    except SQLAlchemyError as error:
        raise SliceError(f"The models of the slices do not fit together: {str(error).splitlines()[0]}") from error
