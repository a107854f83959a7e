"""What `stanchion tail` and `stanchion messages` take; apart from what they do, which is heavy."""

import argparse

from api.messages import act_arguments, activity_arguments, browse_arguments


def add_arguments(tail: argparse.ArgumentParser, messages: argparse.ArgumentParser) -> None:
    """Describe what the two commands take."""
    server_options(tail)
    tail.add_argument("--event", metavar="NAME", help="only events of this name, such as dead")
    tail.add_argument("--since", metavar="OFFSET", help="begin after this event, if it is kept")
    actions = messages.add_subparsers(dest="action", required=True, metavar="ACTION")
    said = "count the messages in each state and of each type"
    stats = actions.add_parser("stats", help=said, description=said)
    server_options(stats)
    stats.add_argument("--queue", metavar="NAME", help="only those of this queue; default: all")
    said = "put a message in, and print its id"
    put = actions.add_parser("put", help=said, description=said)
    server_options(put)
    put.add_argument("payload", help="a JSON object, or - for standard input")
    put.add_argument("--queue", metavar="NAME", default="default", help="default: %(default)s")
    put.add_argument("--type", metavar="NAME")
    put.add_argument("--priority", type=int, default=0, metavar="0-9", help="9 comes first")
    said = "so many seconds nobody gets it"
    put.add_argument("--delay", type=int, default=0, metavar="SECONDS", help=said)
    browse_arguments.add_arguments(actions, server_options)
    act_arguments.add_arguments(actions, server_options)
    activity_arguments.add_arguments(actions, server_options)


def server_options(parser: argparse.ArgumentParser) -> None:
    """Describe which server is asked, and how it answers."""
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument("--url", help="the server; default: the one of these settings")
    # A command line can be read by others, so a key is not an option of its own.
    parser.add_argument("--key-file", metavar="PATH", help="an API key; default: the SECRET_KEY")
