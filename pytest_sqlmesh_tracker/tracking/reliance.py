"""What the tracker relies on in SQLMesh, declared beside the code that relies on it.

`doctor.contract` collects the declarations, and holds the installed SQLMesh to them.
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
    """Something of SQLMesh that must be as the tracker knows it."""

    path: str
    """Where it is: `module:name.name`, below `sqlmesh`."""
    concern: str
    """What of a report rests on it."""
    reads: tuple[str, ...] = ()
    """Its parameters that are read, or passed by name."""
    reads_if_there: tuple[str, ...] = ()
    """Its parameters that are read in those versions of SQLMesh that have them."""
    ignores: tuple[str, ...] = ()
    """Its other parameters, so that a new one is noticed."""
    positional: int | None = None
    """The number of arguments with which it is called, if it is called by position."""
    variables: tuple[str, ...] = ()
    """Its variables that are read where an exception passed through it."""
    since: str | None = None
    """The SQLMesh version that has it first, if that is later than the oldest supported one."""

    @property
    def name(self) -> str:
        """The name of the method itself."""
        return self.path.rpartition(".")[2]

    @property
    def module(self) -> str:
        """The name of its module."""
        return f"sqlmesh.{self.path.partition(':')[0]}"

    @property
    def parameters(self) -> frozenset[str]:
        """All the parameters that are known."""
        return frozenset((*self.reads, *self.reads_if_there, *self.ignores))

    def pick(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What a handler reads of the arguments of a call.

        Raises:
            KeyError: SQLMesh did not pass one of them.
        """
        read = {name: arguments[name] for name in self.reads}
        for name in self.reads_if_there:
            if name in arguments:
                read[name] = arguments[name]
        return read


def handles(path: str, concern: str, ignores: str = "") -> Callable[[_Declared], _Declared]:
    """Declare a function to be the handler of the calls of a SQLMesh method.

    Its keyword-only parameters are the method's parameters that it reads; one with a default is
    read in those versions that have it.

    Args:
        path: of the method, as in `Reliance`.
        concern: what of a report rests on it.
        ignores: the method's other parameters, where a new one is to be noticed.
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
    """Declare a protocol to be what the tracker reads and calls of a class of SQLMesh.

    Args:
        path: of the class, as in `Reliance`.
        concern: what of a report rests on its attributes; for a method, its docstring has that.
    """

    def declare(protocol: type[_Kind]) -> type[_Kind]:
        setattr(protocol, _ATTRIBUTE, Reliance(path, concern))
        return protocol

    return declare


def fields_of(protocol: type) -> Iterator[str]:
    """The attributes that a protocol has: `one`; or `one.two`, where one is a protocol itself."""
    for name, kind in get_type_hints(protocol).items():
        inner = list(fields_of(kind)) if getattr(kind, "_is_protocol", False) else []
        yield from (f"{name}.{field}" for field in inner)
        if not inner:
            yield name


def methods_of(protocol: type) -> Iterator[Reliance]:
    """The methods that a protocol has, as they are called."""
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
    """What was declared of a handler, or of a protocol."""
    return cast(Reliance, getattr(handler, _ATTRIBUTE))


def reliances_of(owner: type) -> dict[str, Reliance]:
    """What was declared of the methods of a class, by their names."""
    methods = vars(owner).items()
    return {name: reliance_of(method) for name, method in methods if hasattr(method, _ATTRIBUTE)}
