"""What `stanchion backup` and `stanchion restore` take."""

import argparse


def add_arguments(backup: argparse.ArgumentParser, restore: argparse.ArgumentParser) -> None:
    """Add what both commands take."""
    backup.add_argument("file", help="where to write it; a file that is there is never replaced")
    restore.add_argument("file", help="a back-up")
    restore.add_argument(
        "--replace", action="store_true", help="set aside what is there; default: refuse"
    )
