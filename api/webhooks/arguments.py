"""What `stanchion webhooks` takes; apart from what it does, which is heavy."""

import argparse

_ACTIONS = {
    "test": "send one signed test request and show the answer",
    "pause": "send nothing more; messages wait",
    "resume": "send again, at once",
}


def add_arguments(webhooks: argparse.ArgumentParser) -> None:
    """Describe what the command takes."""
    actions = webhooks.add_subparsers(dest="action", required=True, metavar="ACTION")
    said = "list the webhooks and how they fare"
    _json(actions.add_parser("list", help=said, description=said))
    for name, said in _ACTIONS.items():
        action = actions.add_parser(name, help=said, description=said)
        action.add_argument("name", help="of the webhook")
        _json(action)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer in JSON")
