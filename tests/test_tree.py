"""What the house promises about its tree and no linter says, read from the sources."""

import ast
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Only these have an effect when they are imported, and only these read the environment.
MAINS = {"api/asgi.py", "api/cli.py", "workers/main.py", "beat/main.py"}
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 40


def files(*folders: str, suffix: str = ".py") -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob(f"*{suffix}")
    )


def parse(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), path)


MODULES = files("api", "workers", "beat", "models", "stanchion_client")
TIMETABLES = [
    path for path in files("beat") if Path(path).stem not in {"__init__", "main", "scheduler"}
]
DOMAINS = sorted({path.split("/")[1] for path in MODULES if path.endswith("/rules.py")})
# Alembic runs env.py as a program.
DEFINING = sorted(set(MODULES) - MAINS - {"models/migrations/env.py"})


# Names ---------------------------------------------------------------------------------------


def test_no_module_is_named_after_what_it_is_not() -> None:
    vague = {"utils", "helpers", "common", "base", "manager"}

    assert [path for path in MODULES if vague & set(path[:-3].split("/"))] == []


def test_each_domain_has_its_cells() -> None:
    cells = [f"{layer}/{domain}" for layer in ("api", "workers", "beat") for domain in DOMAINS]
    cells += [f"models/{domain}/{cell}" for cell in ("service", "jobs") for domain in DOMAINS]

    there = {path.removesuffix(".py").removesuffix("/__init__") for path in MODULES}
    assert [cell for cell in cells if cell not in there] == []


# Effects -------------------------------------------------------------------------------------

DEFINITIONS = (
    ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.ClassDef
    | ast.FunctionDef | ast.AsyncFunctionDef
)  # fmt: skip
IMPORT_AND_TELL = """
import contextlib, importlib, os, sys

with contextlib.suppress(ImportError):  # of the tests only; tries at once whether it may bind
    import urllib3

def watch(event, arguments):
    if event == "open":
        writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if event in EFFECTS or (event == "open" and writes):
        print(name, event, repr(arguments)[:200])

EFFECTS = {
    "_thread.start_new_thread", "os.fork", "os.mkdir", "os.remove", "os.rename", "signal.signal",
    "socket.bind", "socket.connect", "sqlite3.connect", "subprocess.Popen",
}
sys.dont_write_bytecode = True
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_modules_do_nothing_but_define() -> None:
    doing = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path in DEFINING
        for node in parse(path).body[1:]  # after the docstring
        # An index made after its table is part of the table.
        if not isinstance(node, DEFINITIONS) and not ast.unparse(node).startswith("Index(")
    ]

    assert doing == []


def test_import_opens_nothing_and_starts_nothing() -> None:
    # A migration imports `alembic.op`, which exists while Alembic runs.
    paths = [path for path in DEFINING if "/versions/" not in path]
    names = [path[:-3].replace("/", ".").removesuffix(".__init__") for path in paths]

    told = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_TELL, *names],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout

    assert told == ""


def test_only_the_mains_read_the_environment() -> None:
    reading = {"os.environ", "os.environb", "os.getenv", "load_settings"}
    found = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(set(MODULES) - MAINS)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in reading
    ]

    assert found == []


# Tasks and ticks -----------------------------------------------------------------------------


def test_each_task_is_named_domain_verb_after_its_module() -> None:
    faults = []
    for path in files("workers"):
        for call in task_decorators(parse(path)):
            name = keyword(call, "name")
            if not re.fullmatch(rf"{Path(path).stem}\.[a-z_]+", str(name)):
                faults.append(f"{path}:{call.lineno}: task name {name}")

    assert faults == []


def test_each_tick_goes_to_its_own_task_queue_and_has_an_end() -> None:
    faults = []
    for path in TIMETABLES:
        entries = schedule(parse(path))
        assert entries, f"{path} has no SCHEDULE"
        for name, entry in entries.items():
            options = literal_dict(literal_dict(entry).get("options"))
            queue = options.get("queue")
            if not (isinstance(queue, ast.Constant) and queue.value == Path(path).stem):
                faults.append(f"{path}: {name} needs options.queue, the name of its module")
            if "expires" not in options:
                faults.append(f"{path}: {name} needs options.expires")

    assert faults == []


def test_beat_runs_every_timetable() -> None:
    program = ast.unparse(parse("beat/main.py"))

    assert [path for path in TIMETABLES if f"**{Path(path).stem}.SCHEDULE" not in program] == []


def task_decorators(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield each `@app.task(…)`; a bare `@app.task` is a call without a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
                if ast.unparse(call.func).endswith("app.task"):
                    yield ast.copy_location(call, decorator)


def keyword(call: ast.Call, name: str) -> object:
    """Return the constant that a call passes as `name`, None if it passes none."""
    values = [each.value for each in call.keywords if each.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def schedule(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the entries of a module's SCHEDULE."""
    entries = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [ast.unparse(target) for target in targets] == ["SCHEDULE"]:
                entries.update(literal_dict(node.value))
    return entries


def literal_dict(node: ast.expr | None) -> dict[str, ast.expr]:
    """Return what a dict display holds, by its constant keys; nothing for anything else."""
    if not isinstance(node, ast.Dict):
        return {}
    pairs = zip(node.keys, node.values, strict=True)
    return {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}


# Lua -----------------------------------------------------------------------------------------


def test_each_lua_file_says_what_it_takes_and_returns() -> None:
    faults = []
    for path in files("api", "workers", "beat", "models", suffix=".lua"):
        lines = (ROOT / path).read_text().splitlines()
        code_at = next(i for i, line in enumerate([*lines, ""]) if not line.startswith("--"))
        header, code = "\n".join(lines[:code_at]), "\n".join(lines[code_at:])
        wanted = [word for word in ("KEYS[1]", "ARGV[1]") if word[:4] in code] + ["Returns"]
        faults += [f"{path}: no {word} in the header" for word in wanted if word not in header]

    assert faults == []


def test_each_lua_file_is_called_by_one_module() -> None:
    callers = {path: lua_callers(Path(path)) for path in files("models", suffix=".lua")}

    assert {path: modules for path, modules in callers.items() if len(modules) != 1} == {}


def lua_callers(script: Path) -> list[str]:
    """Return the modules that name a script, beside its folder or above."""
    folder = script.parent.parent.as_posix()
    return [
        path
        for path in files(folder)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant) and node.value in {script.name, script.stem}
    ]


# Sizes ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_sizes_are_told_and_never_fail() -> None:
    for path in MODULES:
        lines = (ROOT / path).read_text().count("\n")
        if lines > FILE_LINES_MAX:
            warnings.warn(f"{path} has {lines} lines", stacklevel=1)
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    warnings.warn(f"{path}: {node.name} has {length} lines", stacklevel=1)
