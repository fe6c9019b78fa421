"""Declares what the tracker relies on in SQLMesh, beside the code that relies on it.

`doctor.contract` collects the declarations and checks the installed SQLMesh against them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, getdoc, isfunction, signature
from typing import Any, TypeVar, cast, get_type_hints

_Declared = TypeVar("_Declared", bound=Callable[..., Any])
_Kind = TypeVar("_Kind")
_ATTRIBUTE = "_relies_on"


@dataclass(frozen=True)
class Reliance:
    """A part of SQLMesh that must be as the tracker expects."""

    path: str
    """Its location below `sqlmesh`, as `module:name.name`."""
    concern: str
    """The part of a report that depends on it."""
    reads: tuple[str, ...] = ()
    """The parameters that are read or passed by name."""
    reads_if_there: tuple[str, ...] = ()
    """The parameters that are read in the SQLMesh versions that have them."""
    ignores: tuple[str, ...] = ()
    """All other parameters, so that a new one is noticed."""
    positional: int | None = None
    """The number of positional arguments with which it is called, if any."""
    variables: tuple[str, ...] = ()
    """The local variables that are read when an exception passed through it."""
    since: str | None = None
    """The first SQLMesh version that has it, if later than the oldest supported one."""

    @property
    def name(self) -> str:
        """The last name in the path."""
        return self.path.rpartition(".")[2]

    @property
    def module(self) -> str:
        """The name of the module that contains it."""
        return f"sqlmesh.{self.path.partition(':')[0]}"

    @property
    def parameters(self) -> frozenset[str]:
        """All known parameters."""
        return frozenset((*self.reads, *self.reads_if_there, *self.ignores))

    def pick(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call that a handler reads.

        Raises:
            KeyError: SQLMesh did not pass one of them.
        """
        read = {name: arguments[name] for name in self.reads}
        for name in self.reads_if_there:
            if name in arguments:
                read[name] = arguments[name]
        return read


def handles(path: str, concern: str, ignores: str = "") -> Callable[[_Declared], _Declared]:
    """Declare a function to be the handler for calls of a SQLMesh method.

    Its keyword-only parameters are the method's parameters that it reads; one with a default is
    read in the versions that have it.

    Args:
        path: the method's path, as in `Reliance`.
        concern: the part of a report that depends on it.
        ignores: the method's other parameters, separated by spaces, if a new one must be noticed.
    """

    def declare(handler: _Declared) -> _Declared:
        keywords = [
            parameter
            for parameter in signature(handler).parameters.values()
            if parameter.kind is Parameter.KEYWORD_ONLY
        ]
        reliance = Reliance(
            path,
            concern,
            reads=tuple(p.name for p in keywords if p.default is Parameter.empty),
            reads_if_there=tuple(p.name for p in keywords if p.default is not Parameter.empty),
            ignores=tuple(ignores.split()),
        )
        setattr(handler, _ATTRIBUTE, reliance)
        return handler

    return declare


def part_of_sqlmesh(path: str, concern: str) -> Callable[[type[_Kind]], type[_Kind]]:
    """Declare a protocol to be the part of a SQLMesh class that the tracker reads and calls.

    Args:
        path: the class's path, as in `Reliance`.
        concern: the part of a report that depends on its attributes; a method's docstring has this
            for the method.
    """

    def declare(protocol: type[_Kind]) -> type[_Kind]:
        setattr(protocol, _ATTRIBUTE, Reliance(path, concern))
        return protocol

    return declare


def fields_of(protocol: type) -> Iterator[str]:
    """The attributes of a protocol: `one`, or `one.two` if `one` is itself a protocol."""
    for name, kind in get_type_hints(protocol).items():
        inner = list(fields_of(kind)) if getattr(kind, "_is_protocol", False) else []
        yield from (f"{name}.{field}" for field in inner)
        if not inner:
            yield name


def methods_of(protocol: type) -> Iterator[Reliance]:
    """The methods of a protocol, as the tracker calls them."""
    path = reliance_of(protocol).path
    for name, method in vars(protocol).items():
        if isfunction(method) and not name.startswith("_"):
            parameters = signature(method).parameters.values()
            keywords = [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY]
            yield Reliance(
                f"{path}.{name}",
                getdoc(method) or "",
                reads=tuple(keywords),
                positional=len(parameters) - len(keywords),
            )


def reliance_of(handler: Callable[..., Any]) -> Reliance:
    """The declaration of a handler or protocol."""
    return cast(Reliance, getattr(handler, _ATTRIBUTE))


def reliances_of(owner: type) -> dict[str, Reliance]:
    """The declarations of a class's methods, by name."""
    methods = vars(owner).items()
    return {name: reliance_of(method) for name, method in methods if hasattr(method, _ATTRIBUTE)}
