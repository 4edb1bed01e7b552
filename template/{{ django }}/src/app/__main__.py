"""Entry point of the command line: `python -m app serve`, `python -m app --help`."""

from app.core.cli.main import main

if __name__ == "__main__":
    main()
