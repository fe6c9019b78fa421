"""Makes `docs/reference.md` from docstrings, signatures, and pytest's and click's own registries.

Everything is reached by its public name, so that modules can move without a change of this file.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import click
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

FILE = Path(__file__).with_name("reference.md")
PACKAGE = "pytest_sqlmesh_tracker"
MODULES = (
    PACKAGE,
    f"{PACKAGE}.strategies",
    f"{PACKAGE}.dagster",
    f"{PACKAGE}.dagster.testing",
)
OPTIONAL = {f"{PACKAGE}.dagster": ("SqlmeshProjectComponent",)}
"""Names that `__all__` leaves out because not all versions of Dagster have what they need."""
OPTION_GROUP = "sqlmesh"
INTRODUCTION = """\
# Reference

Every public name, fixture, marker, option and command. `make reference` generates this page from
docstrings, signatures, and the registries of pytest and click; a test compares the two. All
datetimes are in UTC, and all intervals are half-open: `[start, end)`.
"""
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Warns):\n", re.MULTILINE)
HEADINGS = {"Args": "Arguments"}
WIDTH = 88


def page(session: pytest.Session) -> str:
    """The text of the page.

    Args:
        session: any session of pytest that has loaded the plugin.
    """
    parts = [INTRODUCTION, "\n".join(_contents())]
    for name in MODULES:
        parts += _module(importlib.import_module(name), OPTIONAL.get(name, ()))
    parts += ["## pytest", *_fixtures(session), *_markers(session.config)]
    parts += [*_options(session.config), *_commands()]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _contents() -> Iterator[str]:
    titles = (*(f"`{name}`" for name in MODULES), "pytest", "Command line")
    for title in titles:
        yield f"- [{title}](#{_anchor(title)})"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


# Python


def _module(module: ModuleType, more: tuple[str, ...]) -> Iterator[str]:
    listed: dict[Callable[..., Any], str] = {}
    yield f"## `{module.__name__}`"
    yield _text(module.__doc__ or "").partition("\n\n")[0]
    for name in sorted({*module.__all__, *more}, key=lambda name: (_rank(module, name), name)):
        yield f"### `{name}`"
        yield from _entry(module, name, listed)


def _rank(module: ModuleType, name: str) -> int:
    """Functions come first, assertions next, then classes, words, and exceptions."""
    value = getattr(module, name)
    if not inspect.isclass(value):
        return 1 if name.startswith("assert_") else 0
    if issubclass(value, BaseException):
        return 4
    return 3 if issubclass(value, Enum) else 2


def _entry(module: ModuleType, name: str, listed: dict[Callable[..., Any], str]) -> Iterator[str]:
    """The entry of a public name.

    Args:
        listed: the methods that have an entry already, and the class of the entry.
    """
    value = getattr(module, name)
    if not inspect.isclass(value):
        if isinstance(value, FunctionType):
            yield _signature(name, value)
            yield _text(value.__doc__ or "")
        else:
            yield _attribute_docs(inspect.getsource(module))[name]
        return
    yield _text(value.__doc__ or "")
    if issubclass(value, BaseException):
        yield f"A subclass of `{value.__bases__[0].__name__}`."
    elif issubclass(value, Enum):
        yield " · ".join(f"`{member.value}`" for member in value)
    else:
        yield from _class(name, value, listed)


def _class(name: str, cls: type, listed: dict[Callable[..., Any], str]) -> Iterator[str]:
    made = vars(cls).get("__init__")
    # The constructor of what users do not make themselves has no docstring.
    if made is not None and made.__doc__ and made.__module__.startswith(PACKAGE):
        yield _signature(name, made, bound=True)
        yield _text(made.__doc__)
    yield _table(("field", "type", "default", "meaning"), list(_fields(cls)))
    yield _table(("attribute", "type", "meaning"), list(_attributes(cls)))
    methods = dict(_methods(cls))
    for other in sorted({listed[function] for function in methods.values() if function in listed}):
        shared = [method for method, function in methods.items() if listed.get(function) == other]
        yield f"As in `{other}`: {', '.join(f'`{method}`' for method in shared)}."
    for method, function in methods.items():
        if listed.setdefault(function, name) == name:
            yield f"#### `{name}.{method}`"
            yield _signature(method, function, bound=True)
            yield _text(function.__doc__ or "")


def _own(cls: type) -> list[type]:
    """The class and those of its bases that are of this package, the most basic one last."""
    return [base for base in cls.__mro__ if base.__module__.startswith(PACKAGE)]


def _fields(cls: type) -> Iterator[tuple[str, ...]]:
    docs = {k: v for base in _own(cls) for k, v in _attribute_docs(_source(base)).items()}
    if issubclass(cls, BaseModel):
        for name, info in cls.model_fields.items():
            annotation = _annotation_of(cls, name)
            meaning = docs.get(name) or info.description or ""
            yield f"`{name}`", f"`{annotation}`", _default_of(info), meaning
    elif is_dataclass(cls):
        for field in fields(cls):
            resolver = getattr(field.type, "__metadata__", ())
            described = next((getattr(one, "description", None) for one in resolver), None) or ""
            default = field.default
            shown = "" if default is MISSING else f"`{default!r}`"
            annotation = _shown(getattr(field.type, "__origin__", field.type))
            yield f"`{field.name}`", f"`{annotation}`", shown, docs.get(field.name, described)


def _default_of(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    return "made" if info.default_factory else f"`{info.default!r}`"


def _annotation_of(cls: type, name: str) -> str:
    for base in cls.__mro__:
        if name in vars(base).get("__annotations__", {}):
            return _shown(vars(base)["__annotations__"][name])
    return ""


def _attributes(cls: type) -> Iterator[tuple[str, str, str]]:
    """Properties, and what a constructor sets and documents."""
    seen: set[str] = set()
    known: set[str] = set(getattr(cls, "model_fields", ()))
    for base in _own(cls):
        made = vars(base).get("__init__")
        for name, meaning in _attribute_docs(_source(made), "self").items() if made else ():
            yield f"`{name}`", "", meaning
        for name, value in vars(base).items():
            if isinstance(value, property) and not name.startswith("_") and name not in seen:
                seen.add(name)
                assert value.fget is not None
                returns = inspect.signature(value.fget).return_annotation
                yield f"`{name}`", f"`{_shown(returns)}`", _in_one_line(value.__doc__ or "")
        for name, meaning in _attribute_docs(_source(base)).items():
            if name in vars(base) and not (
                name in known or (is_dataclass(cls) and name in _names(cls))
            ):
                yield f"`{name}`", "", meaning


def _names(cls: Any) -> set[str]:
    return {field.name for field in fields(cls)}


def _methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods, and special ones with a docstring; those of the class itself first."""
    seen = {"__init__", "__repr__"}
    for base in _own(cls):
        for name, value in vars(base).items():
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType) and function.__module__.startswith(PACKAGE):
                special = name.startswith("__") and bool(function.__doc__)
                if name not in seen and (special or not name.startswith("_")):
                    yield name, function
                seen.add(name)


def _source(thing: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):
        return ""


def _attribute_docs(source: str, of: str | None = None) -> dict[str, str]:
    """Name → the string below its assignment: in a module or class, or of an instance, `self`."""
    docs: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for assigned, text in pairwise(body) if isinstance(body, list) else ():
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                for name in _assigned(assigned, of):
                    docs[name] = _in_one_line(str(text.value.value))
    return docs


def _assigned(node: ast.stmt, of: str | None) -> Iterator[str]:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if of is None and isinstance(target, ast.Name):
                name = target.id
            elif isinstance(target, ast.Attribute) and ast.unparse(target.value) == of:
                name = target.attr
            else:
                continue
            if not name.startswith("_"):
                yield name


def _signature(name: str, function: Callable[..., Any], *, bound: bool = False) -> str:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    parts: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not any(p.startswith("*") for p in parts):
            parts.append("*")
        parts.append(_parameter(parameter))
    if any(parameter.kind is parameter.POSITIONAL_ONLY for parameter in parameters):
        parts.insert(sum(p.kind is p.POSITIONAL_ONLY for p in parameters), "/")
    returns = signature.return_annotation
    arrow = "" if returns is signature.empty or name == "__init__" else f" -> {_shown(returns)}"
    if arrow == " -> None":
        arrow = ""
    line = f"{name}({', '.join(parts)}){arrow}"
    if len(line) > WIDTH:
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){arrow}"
    return f"```text\n{line}\n```"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else stars
    annotated = parameter.annotation is not parameter.empty
    text = stars + parameter.name + (f": {_shown(parameter.annotation)}" if annotated else "")
    if parameter.default is parameter.empty:
        return text
    equals = " = " if annotated else "="
    default = parameter.default
    return f"{text}{equals}{default if isinstance(default, Enum) else repr(default)}"


def _shown(annotation: Any) -> str:
    if isinstance(annotation, str):
        annotated = re.fullmatch(r"Annotated\[(.+), \w+\(.*\)\]", annotation)
        return annotated[1] if annotated else annotation
    text = annotation.__name__ if isinstance(annotation, type) else repr(annotation)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text)


# pytest


def _fixtures(session: pytest.Session) -> Iterator[str]:
    yield "### Fixtures"
    for name in sorted(_names_in_plugins(session.config)):
        for fixture in session._fixturemanager.getfixturedefs(name, session) or ():
            if fixture.func.__module__.startswith(PACKAGE):
                yield f"#### `{name}`"
                yield f"Scope: {fixture.scope}."
                yield _text(fixture.func.__doc__ or "")


def _names_in_plugins(config: pytest.Config) -> set[str]:
    """The public names of the plugin's modules, some of which are fixtures."""
    plugins = [p for p in config.pluginmanager.get_plugins() if isinstance(p, ModuleType)]
    own = [plugin for plugin in plugins if plugin.__name__.startswith(PACKAGE)]
    return {name for plugin in own for name in vars(plugin) if not name.startswith("_")}


def _markers(config: pytest.Config) -> Iterator[str]:
    yield "### Markers"
    for marker in config.getini("markers"):
        if marker.startswith("sqlmesh_"):
            head, _, text = marker.partition("): ")
            name, _, arguments = head.partition("(")
            yield f"#### `{name}` (marker)"
            signature = ",\n    ".join(arguments.split(", "))
            yield f"```text\n@pytest.mark.{name}(\n    {signature},\n)\n```"
            yield text[:1].upper() + text[1:] + "."


def _options(config: pytest.Config) -> Iterator[str]:
    parser = config._parser
    group = next(group for group in parser._groups if group.name == OPTION_GROUP)
    yield "### Options"
    rows = []
    for option in group.options:
        attributes = option.attrs()
        value = f" {attributes['metavar']}" if attributes.get("metavar") else ""
        key = option.dest if option.dest in parser._inidict else ""
        rows.append(
            (f"`{option.names()[0]}{value}`", f"`{key}`" if key else "", attributes["help"])
        )
    yield _table(("option", "ini key that mirrors it", "meaning"), rows)
    yield "### Keys of the ini file"
    keys = [
        (f"`{key}`", str(kind or "string"), f"`{default!r}`", text)
        for key, (text, kind, default) in parser._inidict.items()
        if key.startswith("sqlmesh_tracker")
    ]
    yield _table(("key", "type", "default", "meaning"), keys)


# The command line


def _commands() -> Iterator[str]:
    [entry] = entry_points(group="console_scripts", name="sqlmesh-tracker")
    main: click.Group = entry.load()
    yield "## Command line"
    yield f"### `{entry.name}`"
    yield _text(main.help or "")
    yield from _parameters(main, main.make_context(entry.name, [], resilient_parsing=True))
    parent = click.Context(main, **main.context_settings)
    for name, command in main.commands.items():
        context = click.Context(command, info_name=name, parent=parent)
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"### `{entry.name} {name}`"
        yield f"```text\n{entry.name} {name} {usage}\n```"
        yield _text(command.help or "")
        yield from _parameters(command, context)


def _parameters(command: click.Command, context: click.Context) -> Iterator[str]:
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    # Options that are handed on to SQLMesh are of a class of their own.
    own = [_option(param, context) for param in options if type(param) is click.Option]
    general = {param.name for param in context.parent.command.params} if context.parent else set()
    handed_on = [
        _option(param, context)
        for param in options
        if type(param) is not click.Option and param.name not in general
    ]
    yield _table(("option", "meaning"), own)
    if handed_on:
        also = ", besides those of `sqlmesh-tracker` itself" if general else ""
        yield f"SQLMesh's own options{also}:"
        yield _table(("option", "meaning"), handed_on)


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    spellings, text = option.get_help_record(context) or ("", "")
    return f"`{spellings}`", text


# Markdown


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    ruled = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in ruled)


def _cell(text: str) -> str:
    return _in_one_line(text).replace("|", "\\|")


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _text(docstring: str) -> str:
    """A docstring as Markdown: its sections become lists."""
    text = inspect.cleandoc(docstring)
    first, *sections = SECTION.split(text)
    parts = [first.strip()]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        indented, _, rest = body.partition("\n\n")
        parts += [f"{HEADINGS.get(title, title)}:", _list(textwrap.dedent(indented)), rest.strip()]
    return "\n\n".join(part for part in parts if part)


def _list(body: str) -> str:
    entries = re.split(r"\n(?=\S)", body.strip())
    items = []
    for entry in entries:
        name, colon, text = entry.partition(": ")
        head = f"`{name}`: " if colon and re.fullmatch(r"[\w.]+", name) else ""
        items.append("- " + _in_one_line(head + text if head else entry))
    return "\n".join(items)


class _Writer:
    """Writes the page when a session begins: the registries of pytest are complete then."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        FILE.write_text(page(session), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(
        pytest.main(["--collect-only", "-qq", str(FILE.parent)], plugins=[_Writer()]) not in (0, 5)
    )
