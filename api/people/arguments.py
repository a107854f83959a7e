"""What `stanchion user` and `stanchion key` take; apart from what they do, which loads far more."""

import argparse
from typing import Any

from models.people.rules import Role, Scope

Subparsers = Any  # argparse keeps the class to itself


def add_arguments(user: argparse.ArgumentParser, key: argparse.ArgumentParser) -> None:
    """Describe what the two commands take."""
    actions = user.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = _action(actions, "add", "make a user; asks for the password")
    add.add_argument("name")
    add.add_argument("--role", required=True, choices=[role.value for role in Role])
    add.add_argument("--full-name", default="", metavar="TEXT")
    add.add_argument("--counter", type=int, metavar="ID", help="the counter an officer serves")
    _password_option(add)
    _action(actions, "list", "list all users")
    passwd = _action(actions, "passwd", "give a user another password; sessions and locks end")
    passwd.add_argument("name")
    _password_option(passwd)
    for name, said in (("disable", "let a user in no more"), ("enable", "let a user in again")):
        _action(actions, name, said).add_argument("name")
    actions = key.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = _action(actions, "add", "make an API key, which is shown once")
    add.add_argument("name")
    add.add_argument("--scope", required=True, choices=[scope.value for scope in Scope])
    _action(actions, "list", "list all keys")
    _action(actions, "revoke", "take a key back").add_argument("name")


def _action(actions: Subparsers, name: str, said: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=said, description=said)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    return parser


def _password_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from the first line"
    )
