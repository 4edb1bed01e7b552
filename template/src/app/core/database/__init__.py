"""PostgreSQL: engine or pool, transactions, migrations, the embedded server."""
