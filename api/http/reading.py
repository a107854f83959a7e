"""Reading requests: the types that validate them, and errors that name every wrong field.

A well-formed request costs one pass of msgspec. Only a malformed one is looked at field by field,
to report all that is wrong with it; there too a few other spellings are understood.
"""

import enum
import functools
import itertools
from collections.abc import Mapping
from datetime import datetime
from types import UnionType
from typing import Any, ClassVar, Final, Literal, TypeVar, get_args, get_origin

import msgspec
from falcon.asgi import Request
from msgspec import NODEFAULT, Struct, ValidationError

from models.errors import InvalidError, TooLargeError

BodyType = TypeVar("BodyType", bound=Struct)
_MANY: Final = "given more than once"
_WANTED: Final = {"int": "a whole number", "float": "a number", "bool": "`true` or `false`"}
_SHOWN_MAX: Final = 40
_MOMENT: Final = "Expected a moment such as 2026-01-31T12:00:00Z"
# In the `extra` of a type with a pattern: what it takes, for people who read no patterns.
PLAIN: Final = "plain"
# An answer that helps a person is short, and looking for faults takes the time of everybody.
_FAULTS_MAX: Final = 20
_ELEMENTS_MAX: Final = 10_000


class Body(Struct, forbid_unknown_fields=True, frozen=True):
    """A JSON object that a client sends; `SPELLINGS` maps other names of fields to ours."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {}


class NoQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """The query string of a request that takes no parameters."""


async def read_body(
    req: Request, decoder: msgspec.json.Decoder[BodyType], size_max: int
) -> BodyType:
    """Return the body as `decoder.type`; raises InvalidError or TooLargeError."""
    return read_json(await read_bytes(req, size_max), decoder)


def read_json(raw: bytes, decoder: msgspec.json.Decoder[BodyType]) -> BodyType:
    """Return a JSON text as `decoder.type`; raises InvalidError."""
    try:
        try:
            return decoder.decode(raw)
        except ValidationError:
            return _read_carefully(raw, decoder)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = f"not JSON: {error}" if raw.strip() else "Required"
        raise InvalidError({"body": fault}) from None
    except RecursionError:
        raise InvalidError({"body": "nested too deeply"}) from None


async def read_bytes(req: Request, size_max: int) -> bytes:
    """Return the whole body; raises TooLargeError without reading on once it is too long."""
    length = req.content_length
    if length is not None:
        if length > size_max:
            raise TooLargeError("body bytes", length, size_max)
        return await req.stream.readall()
    chunks, size = [], 0
    async for chunk in req.stream:
        size += len(chunk)
        if size > size_max:
            raise TooLargeError("body bytes", size, size_max)
        chunks.append(chunk)
    return b"".join(chunks)


def read_query(req: Request, query_type: type[BodyType]) -> BodyType:
    """Return the query string as `query_type`; raises InvalidError."""
    nothing: BodyType | None = None if req.query_string else _without_parameters(query_type)
    if nothing is not None:
        return nothing
    return read_values(req.params, query_type)


def read_values(values: Mapping[str, Any], query_type: type[BodyType]) -> BodyType:
    """Return parameters, which may be text, as `query_type`.

    Raises InvalidError, which names each parameter as the client spelled it.
    """
    spellings = getattr(query_type, "SPELLINGS", {})
    sent = {spellings.get(name, name): name for name in values}
    try:
        return _convert({ours: values[name] for ours, name in sent.items()}, query_type)
    except InvalidError as error:
        faults = {sent.get(name, name): fault for name, fault in error.details.items()}
        raise InvalidError(faults) from None


def _convert(values: Mapping[str, Any], query_type: type[BodyType]) -> BodyType:
    repeated = {name: _MANY for name, value in values.items() if isinstance(value, list)}
    if repeated:
        raise InvalidError(repeated)
    # Where text may be a number, msgspec reads `2026` as so many seconds of 1970.
    numbers = {
        name: _MOMENT
        for name in _moments_of(query_type)
        if isinstance(value := values.get(name), str) and ":" not in value
    }
    if numbers:
        raise InvalidError(numbers)
    try:
        return msgspec.convert(values, query_type, strict=False)
    except ValidationError:
        raise InvalidError(_faults(values, query_type, strict=False)) from None


def faults_of(value: Any, shape: type[Struct]) -> dict[str, str]:
    """Return what is wrong with a JSON value that does not fit a shape, by path."""
    faults = _faults(value, shape, strict=True)
    return dict(itertools.islice(faults.items(), _FAULTS_MAX))


@functools.cache
def _without_parameters(query_type: type[BodyType]) -> BodyType | None:
    """Return what most requests say, made once; None where something must be given."""
    if not query_type.__struct_config__.frozen:
        return None  # whoever got it first might change it
    try:
        return msgspec.convert({}, query_type)
    except ValidationError:
        return None


@functools.cache
def _moments_of(query_type: type[Struct]) -> tuple[str, ...]:
    """Return which fields are moments."""
    return tuple(
        each.encode_name
        for each in msgspec.structs.fields(query_type)
        if any(_bare(part) is datetime for part in (each.type, *get_args(each.type)))
    )


def _read_carefully(raw: bytes, decoder: msgspec.json.Decoder[BodyType]) -> BodyType:
    """Read a body that did not fit: in other spellings it may, else say what is wrong.

    Raises what the decoder raises for a text that is broken behind the first wrong field.
    """
    shape = decoder.type
    respelled = _respell(raw, shape)
    try:
        return decoder.decode(respelled)
    except ValidationError as error:
        faults = faults_of(msgspec.json.decode(respelled), shape)
        raise InvalidError(faults or {"body": str(error)}) from None


def _respell(raw: bytes, shape: Any) -> bytes:
    """Return a JSON text with the names of fields in our spelling; values stay to the letter."""
    element = _element(shape)
    try:
        if element is not None:
            parts = msgspec.json.decode(raw, type=list[msgspec.Raw])
            if len(parts) > _ELEMENTS_MAX:
                return raw
            return msgspec.json.encode(
                [msgspec.Raw(_respell(bytes(part), element)) for part in parts]
            )
        if not _is_struct(shape):
            return raw
        if raw.lstrip()[:1] == b"[" and (wrap := getattr(shape, "BARE_ARRAY", None)):
            raw = b'{"' + wrap.encode() + b'":' + raw + b"}"
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except ValidationError:
        return raw  # of another shape altogether; the decoder will say so
    spellings = getattr(shape, "SPELLINGS", {})
    fields = msgspec.structs.fields(shape)
    types = {field.encode_name: _struct_within(field.type) for field in fields}
    result: dict[str, msgspec.Raw] = {}
    for given_name, value in members.items():
        name = spellings.get(given_name, given_name)
        if name in result or (name != given_name and name in members):
            raise InvalidError({name: f"{_MANY}, as {given_name} too"})
        result[name] = msgspec.Raw(_respell(bytes(value), types[name])) if name in types else value
    return msgspec.json.encode(result)


def _faults(value: Any, shape: Any, *, strict: bool, path: str = "") -> dict[str, str]:
    """Return what is wrong with a value, by path such as `messages[3].priority`."""
    element = _element(shape)
    if element is not None and isinstance(value, list) and _is_struct(element):
        faults = _faults_of_elements(value, element, strict=strict, path=path)
        return faults or _fault(value, shape, strict=strict, path=path)
    if isinstance(value, dict) and _is_struct(within := _struct_within(shape)):
        return _faults_of_members(value, within, strict=strict, path=path)
    return _fault(value, shape, strict=strict, path=path)


def _faults_of_elements(
    values: list[Any], element: Any, *, strict: bool, path: str
) -> dict[str, str]:
    faults: dict[str, str] = {}
    for index, value in enumerate(values[:_ELEMENTS_MAX]):
        faults |= _faults(value, element, strict=strict, path=f"{path}[{index}]")
        if len(faults) >= _FAULTS_MAX:
            break
    return faults


def _faults_of_members(
    members: dict[str, Any], shape: Any, *, strict: bool, path: str
) -> dict[str, str]:
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    faults = {_join(path, name): "Unknown field" for name in members.keys() - known.keys()}
    for name, field in known.items():
        if name in members:
            faults |= _faults(members[name], field.type, strict=strict, path=_join(path, name))
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            faults[_join(path, name)] = "Required"
    return faults


def _fault(value: Any, shape: Any, *, strict: bool, path: str) -> dict[str, str]:
    if _is_raw_object(shape):
        return {} if isinstance(value, dict) else {path: f"Expected `object`, got {_kind(value)}"}
    try:
        msgspec.convert(value, shape, strict=strict)
    except ValidationError as error:
        reason, _, inner = str(error).partition(" - at `$")
        if (words := _words_of(shape)) and reason.startswith("Invalid enum value"):
            reason = f"Expected {words}, got {value!r}"
        elif "matching regex" in reason and (plain := _plain_words_of(shape)):
            reason = f"Expected {plain}"
        elif not strict and isinstance(value, str):
            reason = _said_of_text(reason, value)
        return {path + inner.rstrip("`") or "body": reason}
    return {}


def _said_of_text(reason: str, value: str) -> str:
    """Say of a parameter, which is text whatever it means, what it should have been."""
    for kind, wanted in _WANTED.items():
        if reason.startswith(f"Expected `{kind}") and reason.endswith("got `str`"):
            return f"Expected {wanted}, got {value[:_SHOWN_MAX]!r}"
    return reason


def _words_of(shape: Any) -> str:
    """Return which words a field takes, such as `asc` or `desc`; none where it takes others too."""
    for part in (shape, *get_args(shape)):
        bare = _bare(part)
        if get_origin(bare) is Literal:
            values = tuple(each for each in get_args(bare) if each != "")
        elif isinstance(bare, type) and issubclass(bare, enum.Enum):
            values = tuple(each.value for each in bare)
        else:
            continue
        *others, last = [f"`{each}`" for each in values]
        return f"{', '.join(others)} or {last}" if others else last
    return ""


def _plain_words_of(shape: Any) -> str:
    """Return what a text must be where its type says it in words, under `PLAIN`; else none."""
    metas = [
        meta for part in (shape, *get_args(shape)) for meta in getattr(part, "__metadata__", ())
    ]
    return next((meta.extra[PLAIN] for meta in metas if meta.extra and PLAIN in meta.extra), "")


def _is_raw_object(shape: Any) -> bool:
    # One that may be missing is a union with UnsetType.
    return any(_bare(part) is msgspec.Raw for part in (shape, *get_args(shape)))


def _bare(shape: Any) -> Any:
    """Return a type without its Annotated constraints."""
    return get_args(shape)[0] if hasattr(shape, "__metadata__") else shape


def _element(shape: Any) -> Any | None:
    """Return what a list type holds, else None."""
    bare = _bare(shape)
    return get_args(bare)[0] if get_origin(bare) in {list, tuple} else None


def _struct_within(shape: Any) -> Any:
    """Return the object of a type such as `Body | None`, which holds one; else the type itself."""
    structs = [part for part in get_args(shape) if _is_struct(part)]
    return structs[0] if get_origin(shape) is UnionType and len(structs) == 1 else shape


def _is_struct(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, Struct)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(value: Any) -> str:
    names = {
        str: "str",
        bool: "bool",
        int: "int",
        float: "float",
        list: "array",
        type(None): "null",
    }
    return f"`{names.get(type(value), 'object')}`"
