"""What the tracker relies on in SQLMesh, declared beside the code that relies on it.

`doctor.contract` collects the declarations, and holds the installed SQLMesh to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, TypeVar, cast

_Declared = TypeVar("_Declared", bound=Callable[..., Any])
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
        read.update((n, arguments[n]) for n in self.reads_if_there if n in arguments)
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


def reliance_of(handler: Callable[..., Any]) -> Reliance:
    """What was declared of a handler."""
    return cast(Reliance, getattr(handler, _ATTRIBUTE))


def reliances_of(owner: type) -> dict[str, Reliance]:
    """What was declared of the methods of a class, by their names."""
    methods = vars(owner).items()
    return {name: reliance_of(method) for name, method in methods if hasattr(method, _ATTRIBUTE)}
