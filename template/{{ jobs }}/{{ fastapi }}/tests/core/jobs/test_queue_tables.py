from importlib import import_module, resources


def test_every_migration_of_procrastinate_is_applied() -> None:
    """New migrations of Procrastinate need a new revision after the last revision of `core_jobs`."""
    found = [file.name for file in resources.files("procrastinate.sql.migrations").iterdir()]
    newest = max(name for name in found if name.endswith(".sql"))
    assert newest == import_module("app.core.jobs.migrations.core_jobs_0001_initial").SINCE
