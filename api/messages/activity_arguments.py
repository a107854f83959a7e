"""What `stanchion messages activity` and `anomalies` take."""

import argparse
from collections.abc import Callable
from typing import Any


def add_arguments(actions: Any, server_options: Callable[[argparse.ArgumentParser], None]) -> None:
    """Describe what the two take."""
    said = "tell what happened to a message, oldest first"
    activity = actions.add_parser("activity", help=said, description=said)
    server_options(activity)
    activity.add_argument("id", metavar="ID", help="such as msg_0000000000000001")
    said = "list what is wrong with the queues, and what to do; 1 when something is"
    server_options(actions.add_parser("anomalies", help=said, description=said))
