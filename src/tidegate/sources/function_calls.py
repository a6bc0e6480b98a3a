"""Finding and calling functions of users: what is wrong is said with its place, in their code where it is theirs."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tidegate.errors import ConfigurationError, PlaceUnavailableError, SourceError, TidegateError, first_line

PARAMETERS = ("engine", "source", "watermark_start", "watermark_end")

Call = Callable[[Any, Any, Any, Any], Any]

_OURS = str(Path(__file__).parents[1])
_SIGNATURE = f"def fn({', '.join(PARAMETERS)})"


def function_called(name: str) -> Callable[..., Any]:
    """Return a function by its dotted name, importing its module.

    Raises:
        ConfigurationError: there is none, or its module fails (TG221).
    """
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        raise _unusable(name, f"{name!r} is no dotted name of a function", "write package.module.function")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if f"{module_name}.".startswith(f"{error.name}."):
            hint = "is it below the project folder, or installed? in Python, it must be on sys.path"
            raise _unusable(name, f"there is no module {error.name}", hint) from None
        raise _unusable(name, f"module {module_name} needs a module {error.name}", "install it") from error
    except Exception as error:
        cause = f"module {module_name} fails: {type(error).__name__}: {first_line(error)}"
        raise _unusable(name, cause, "correct it", where=_where(error)) from error
    function = getattr(module, attribute, None)
    if function is None:
        import difflib

        near = difflib.get_close_matches(attribute, [known for known in vars(module) if not known.startswith("_")], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"define it in {module.__file__}"
        raise _unusable(name, f"module {module_name} has no {attribute!r}", hint)
    return _callable(function, name)


def callable_as(function: Callable[..., Any], name: str) -> Call:
    """Return the function as one of four positional arguments; those that it takes by keyword alone get theirs so.

    Raises:
        ConfigurationError: it takes other arguments (TG221).
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a builtin, which does not tell
        return function
    for positional in range(len(PARAMETERS), -1, -1):
        names = PARAMETERS[positional:]
        try:
            signature.bind(*PARAMETERS[:positional], **dict.fromkeys(names))
        except TypeError:
            continue

        def call(*given: Any, split: int = positional, names: tuple[str, ...] = names) -> Any:
            return function(*given[:split], **dict(zip(names, given[split:], strict=True)))

        return call
    where = f"{inspect.getfile(function)}:{function.__code__.co_firstlineno}" if inspect.isfunction(function) else name
    msg = f"{name}{signature} does not take what it is given"
    raise _unusable(name, msg, _SIGNATURE, where=where)


@contextmanager
def failures_of(name: str) -> Iterator[None]:
    """Say of a failure within a user's function what it is, and on which line; a connection that breaks may recover.

    Raises:
        SourceError: TG223.
        PlaceUnavailableError: TG223, for a TimeoutError or ConnectionError.
    """
    try:
        yield
    except TidegateError:
        raise
    except Exception as error:
        msg = f"{name} failed: {type(error).__name__}: {first_line(error)}"
        details = {"function": name, "type": type(error).__name__}
        if isinstance(error, TimeoutError | ConnectionError):
            raise PlaceUnavailableError(msg, details, code="TG223", where=_where(error) or name) from error
        hint = "nothing was changed; correct the function, and run again"
        raise SourceError(msg, details, code="TG223", where=_where(error) or name, hint=hint) from error


def _where(error: BaseException) -> str | None:
    """Return the last line of the failure that is neither ours nor of an installed library; else the last."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    theirs = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    own = [frame for frame in theirs if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    for frame in reversed(own or theirs):
        return f"{frame.filename}:{frame.lineno}"
    return None


def _callable(function: Any, name: str) -> Callable[..., Any]:
    if not callable(function):
        raise _unusable(name, f"{name} is a {type(function).__name__}, not a function", _SIGNATURE)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise _unusable(name, f"{name} is asynchronous", f"wrap it: asyncio.run(...) within {_SIGNATURE}")
    called: Callable[..., Any] = function
    return called


def _unusable(name: str, msg: str, hint: str, *, where: str | None = None) -> ConfigurationError:
    return ConfigurationError(msg, {"function": name}, code="TG221", where=where or name, hint=hint)
