"""What `stanchion rooms` takes to set rooms up; apart from what it does, which is heavy."""

import argparse

_SETTING = "NAME=VALUE"


def add_admin_arguments(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Describe the actions that make, change and show rooms."""
    _add(actions, "list", "list the rooms and what they are set to", has_id=False)
    create = _add(actions, "create", "make a room")
    create.add_argument("--name", help="what people call it; the id without it")
    create.add_argument("target_url", metavar="URL", help="where the admitted are sent")
    create.add_argument(
        "settings", nargs="*", metavar=_SETTING, help="such as max_active_users=500 draw=true"
    )
    change = _add(actions, "set", "change settings or the status of a room")
    change.add_argument(
        "settings", nargs="+", metavar=_SETTING, help="such as status=paused admission_rate=20"
    )
    _add(actions, "stats", "show how a room fares")
    delete = _add(actions, "delete", "delete a room, its line, its sessions and its history")
    delete.add_argument("--yes", action="store_true", help="do not ask")


def _add(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    said: str,
    *,
    has_id: bool = True,
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=said, description=said)
    if has_id:
        action.add_argument("id", help="of the room")
    action.add_argument("--json", action="store_true", help="answer in JSON")
    return action
