"""How the program is started: `python -m app serve`, `python -m app --help`."""

from app.core.cli.main import main

if __name__ == "__main__":
    main()
