"""Plugins by name: classes registered by hand, by dotted path, or by the entry points of installed packages.

Nothing is imported before it is asked for: a registry knows names and where they lead, and loads a class on
its first use. So a broken plugin is reported to whoever asks for it, and to nobody else.
"""

from __future__ import annotations

import difflib
import threading
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from tidegate.errors import ConfigurationError

T = TypeVar("T")


class PluginRegistry(Generic[T]):
    """The plugins of one kind, by name. Safe to use from many threads.

    Installed packages are found through their entry points on the first lookup, once. A name registered by
    hand (:meth:`register`, :meth:`register_lazy`) wins over an entry point of the same name, whichever came
    first.

    Args:
        entry_point_group: Group in which packages announce plugins, for instance ``tidegate.engines``.
        base_class: What every plugin must be a subclass of.
    """

    def __init__(self, entry_point_group: str, base_class: type[T]) -> None:
        self._group = entry_point_group
        self._base_class = base_class
        self._plugins: dict[str, type[T] | EntryPoint] = {}
        self._singletons: dict[tuple[str, object], T] = {}
        self._discovered = False
        # Two locks, and none held while importing: a module that registers itself on import must never wait
        # for a thread that waits for that import.
        self._lock = threading.Lock()
        self._creating = threading.RLock()

    def register(self, name: str, cls: type[T]) -> None:
        """Register a class, in place of what had the name.

        Raises:
            ConfigurationError: TG613, when `cls` is not a subclass of the base class.
        """
        self._require_base_class(name, cls)
        self._put(name, cls)

    def register_lazy(self, name: str, target: str) -> None:
        """Register a class that is imported when it is first asked for.

        Args:
            name: Unique plugin name.
            target: ``module:attribute``, and in brackets the extra that it needs, as in an entry point:
                ``tidegate.engines.duckdb:DuckDBEngine [duckdb]``.
        """
        self._put(name, EntryPoint(name=name, value=target, group=self._group))

    def unregister(self, name: str) -> None:
        """Remove a plugin, however it was registered, and its singleton.

        Raises:
            ConfigurationError: TG610, when the name is unknown.
        """
        known = self._known()
        with self._lock:
            if name not in self._plugins:
                raise self._unknown(name, known)
            self._singletons.pop((name, self._plugins.pop(name)), None)

    def get(self, name: str, **kwargs: object) -> T:
        """Return a new instance.

        Args:
            name: Plugin name.
            **kwargs: Passed to the class.

        Raises:
            ConfigurationError: As :meth:`load`.
        """
        return self.load(name)(**kwargs)

    def get_or_create(self, name: str, **kwargs: object) -> T:
        """Return the one shared instance, made on the first call, also when many threads call first.

        Args:
            name: Plugin name.
            **kwargs: Passed to the class on the first call, ignored afterwards.

        Raises:
            ConfigurationError: As :meth:`load`.
        """
        cls = self.load(name)
        with self._creating:
            if (name, cls) not in self._singletons:
                self._singletons[name, cls] = cls(**kwargs)
            return self._singletons[name, cls]

    def load(self, name: str) -> type[T]:
        """Return the class, imported now if need be. A failed import is tried again on the next call.

        Raises:
            ConfigurationError: The name is unknown (TG610), its module cannot be loaded (TG611), an extra is
                missing (TG612), or it is no subclass of the base class (TG613).
        """
        known = self._known()
        plugin = known.get(name)
        if plugin is None:
            raise self._unknown(name, known)
        if not isinstance(plugin, EntryPoint):
            return plugin
        cls = self._import(plugin)
        with self._lock:
            if self._plugins.get(name) is plugin:  # and not registered anew meanwhile
                self._plugins[name] = cls
        return cls

    def is_available(self, name: str) -> bool:
        """Tell whether the name is registered. Imports nothing, so its extra may still be missing."""
        return name in self._known()

    def list_plugins(self) -> list[str]:
        """Return all registered names, sorted. Imports nothing."""
        return sorted(self._known())

    def clear_singletons(self) -> None:
        """Forget all instances made by :meth:`get_or_create`."""
        with self._creating:
            self._singletons.clear()

    def _put(self, name: str, plugin: type[T] | EntryPoint) -> None:
        with self._lock:
            self._singletons.pop((name, self._plugins.get(name)), None)
            self._plugins[name] = plugin

    def _known(self) -> dict[str, type[T] | EntryPoint]:
        with self._lock:
            if not self._discovered:
                for entry_point in entry_points(group=self._group):
                    self._plugins.setdefault(entry_point.name, entry_point)
                self._discovered = True
            return dict(self._plugins)

    def _import(self, plugin: EntryPoint) -> type[T]:
        try:
            cls = plugin.load()
        except ImportError as error:
            requirement = _missing_requirement(plugin, error)
            if requirement is None:
                raise self._broken(plugin, error) from error
            message = f"{self._kind} {plugin.name!r} needs an extra that is not installed: {error}"
            raise ConfigurationError(
                message, self._details(plugin), code="TG612", hint=f"pip install '{requirement}'"
            ) from error
        except Exception as error:
            raise self._broken(plugin, error) from error
        return self._require_base_class(plugin.name, cls, plugin)

    def _require_base_class(self, name: str, cls: object, plugin: EntryPoint | None = None) -> type[T]:
        if isinstance(cls, type) and issubclass(cls, self._base_class):
            return cls
        base = self._base_class
        raise ConfigurationError(
            f"{self._kind} {name!r} is not a {base.__name__}: {plugin.value if plugin else cls!r}",
            self._details(plugin) if plugin else {"group": self._group, "name": name},
            code="TG613",
            hint=f"register a subclass of {base.__module__}.{base.__qualname__}",
        )

    def _unknown(self, name: str, known: dict[str, type[T] | EntryPoint]) -> ConfigurationError:
        names = sorted(known)
        hint = f"known: {', '.join(names)}" if names else f"nothing is registered in {self._group!r}"
        if similar := difflib.get_close_matches(name, names, n=1):
            hint = f"did you mean {similar[0]!r}? {hint}"
        details = {"group": self._group, "name": name, "known": names}
        return ConfigurationError(f"unknown {self._kind} {name!r}", details, code="TG610", hint=hint)

    def _broken(self, plugin: EntryPoint, error: Exception) -> ConfigurationError:
        owner = f"package {plugin.dist.name!r}" if plugin.dist else "whoever registered it"
        cause = f"{type(error).__name__}: {error}"
        return ConfigurationError(
            f"{self._kind} {plugin.name!r} cannot be loaded from {plugin.value!r}: {cause}",
            self._details(plugin),
            code="TG611",
            hint=f"this is a fault of {owner}; other plugins are not affected",
        )

    def _details(self, plugin: EntryPoint) -> dict[str, str | None]:
        package = plugin.dist.name if plugin.dist else None
        return {"group": self._group, "name": plugin.name, "target": plugin.value, "package": package}

    @property
    def _kind(self) -> str:
        return self._group.rpartition(".")[2].removesuffix("s").replace("_", " ")


def _missing_requirement(plugin: EntryPoint, error: ImportError) -> str | None:
    """Return what to install; None when the plugin's own module is missing, or no extra is known to help.

    Our own plugins are named after their extra unless they declare another.
    """
    if not isinstance(error, ModuleNotFoundError):
        return None
    if error.name and f"{plugin.module}.".startswith(f"{error.name}."):
        return None
    ours = plugin.module.startswith("tidegate.")
    package = plugin.dist.name if plugin.dist else "tidegate" if ours else None
    extras = plugin.extras or ([plugin.name] if package == "tidegate" else [])
    return f"{package}[{','.join(extras)}]" if package and extras else None
