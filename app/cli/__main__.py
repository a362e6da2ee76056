"""Start the command line."""

from app.cli.main import cli

if __name__ == "__main__":
    cli(prog_name="pluto")
