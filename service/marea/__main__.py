"""`python -m marea`: the same as the `marea` command."""

from marea.cli.main import main

if __name__ == "__main__":
    main()
