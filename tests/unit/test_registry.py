"""Plugins: by hand, by dotted path, and by the entry points of packages that are really on the path."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tidegate
from tidegate.errors import ConfigurationError, TidegateError
from tidegate.registry import PluginRegistry


class Engine:
    """The base class."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads


class Fast(Engine):
    """A plugin."""


class Slow(Engine):
    """Another plugin."""


GROUP = "tidegate_tests.engines"

Install = Callable[..., None]


@pytest.fixture
def registry() -> PluginRegistry[Engine]:
    """Return an empty registry."""
    return PluginRegistry(GROUP, Engine)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a package: its metadata, its entry points, its modules."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def put(package: str, entry_points: dict[str, str], modules: dict[str, str]) -> None:
        metadata = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {target}\n" for name, target in entry_points.items()]
        (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{''.join(lines)}")
        for module, source in modules.items():
            (tmp_path / f"{module}.py").write_text(source)

    yield put
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


GOOD = f"from {__name__} import Engine\nclass Acme(Engine): pass\n"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the modules that a test writes import this one, however pytest named it."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Engine.__module__])


def failure(registry: PluginRegistry[Engine], name: str) -> TidegateError:
    with pytest.raises(TidegateError) as caught:
        registry.get(name)
    return caught.value


class TestRegister:
    def test_get_makes_a_new_instance_each_time(self, registry: PluginRegistry[Engine]) -> None:
        """Arguments go to the class."""
        registry.register("fast", Fast)
        first, second = registry.get("fast", threads=4), registry.get("fast")
        assert isinstance(first, Fast)
        assert first is not second
        assert (first.threads, second.threads) == (4, 1)

    @pytest.mark.parametrize("wrong", [str, Fast(), "Fast", None])
    def test_refuses_what_is_not_a_subclass(self, registry: PluginRegistry[Engine], wrong: type[Engine]) -> None:
        """The name stays unknown."""
        with pytest.raises(ConfigurationError, match="is not a Engine") as caught:
            registry.register("wrong", wrong)
        assert caught.value.code == "TG613"
        assert not registry.is_available("wrong")

    def test_the_last_registration_of_a_name_wins(self, registry: PluginRegistry[Engine]) -> None:
        """Also over a shared instance of the earlier class."""
        registry.register("engine", Fast)
        registry.get_or_create("engine")
        registry.register("engine", Slow)
        assert type(registry.get_or_create("engine")) is Slow

    def test_lists_names_sorted(self, registry: PluginRegistry[Engine]) -> None:
        """Whatever the order of registration."""
        registry.register("slow", Slow)
        registry.register("fast", Fast)
        assert registry.list_plugins() == ["fast", "slow"]


class TestUnregister:
    def test_removes_the_plugin_and_its_singleton(self, registry: PluginRegistry[Engine]) -> None:
        """A plugin that comes back is made anew."""
        registry.register("fast", Fast)
        before = registry.get_or_create("fast")
        registry.unregister("fast")
        assert not registry.is_available("fast")
        registry.register("fast", Fast)
        assert registry.get_or_create("fast") is not before

    def test_refuses_an_unknown_name(self, registry: PluginRegistry[Engine]) -> None:
        """As a lookup does."""
        with pytest.raises(ConfigurationError) as caught:
            registry.unregister("fast")
        assert caught.value.code == "TG610"

    def test_an_entry_point_does_not_come_back(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """Removed before the first lookup, it is not discovered by the next."""
        install("acme", {"acme": "acme_good:Acme"}, {"acme_good": GOOD})
        registry.unregister("acme")
        assert registry.list_plugins() == []


class TestUnknownName:
    def test_suggests_and_lists_what_is_known(self, registry: PluginRegistry[Engine]) -> None:
        """The error says what kind of plugin it is, which name was meant, and which there are."""
        registry.register("polars", Fast)
        registry.register("duckdb", Slow)
        error = failure(registry, "polar")
        assert error.render() == ("TG610: unknown engine 'polar'\n  hint: did you mean 'polars'? known: duckdb, polars")
        assert error.details == {"group": GROUP, "name": "polar", "known": ["duckdb", "polars"]}

    def test_says_when_there_is_nothing(self, registry: PluginRegistry[Engine]) -> None:
        """An empty registry has no list to show."""
        assert failure(registry, "polars").hint == f"nothing is registered in {GROUP!r}"


class TestSingletons:
    def test_are_shared_until_cleared(self, registry: PluginRegistry[Engine]) -> None:
        """The first call's arguments count."""
        registry.register("fast", Fast)
        first = registry.get_or_create("fast", threads=4)
        assert registry.get_or_create("fast", threads=8) is first
        assert first.threads == 4
        registry.clear_singletons()
        assert registry.get_or_create("fast") is not first

    def test_sixteen_threads_get_one_instance(self, registry: PluginRegistry[Engine]) -> None:
        """The class is called once, though its constructor gives every other thread time to come in."""
        made: list[Engine] = []

        class Counted(Engine):
            def __init__(self) -> None:
                super().__init__()
                time.sleep(0.02)
                made.append(self)

        registry.register("counted", Counted)
        got = race(16, lambda: registry.get_or_create("counted"))
        assert len(made) == 1
        assert got == made * 16

    def test_one_may_need_another(self, registry: PluginRegistry[Engine]) -> None:
        """A constructor that asks the same registry does not wait for itself."""

        class Outer(Engine):
            def __init__(self) -> None:
                self.inner = registry.get_or_create("fast")

        registry.register("fast", Fast)
        registry.register("outer", Outer)
        outer = registry.get_or_create("outer")
        assert isinstance(outer, Outer)
        assert outer.inner is registry.get_or_create("fast")


class TestLazyRegistration:
    def test_imports_on_first_use(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """Listing and asking for availability import nothing."""
        install("acme", {}, {"acme_lazy": GOOD})
        registry.register_lazy("acme", "acme_lazy:Acme")
        assert registry.list_plugins() == ["acme"]
        assert registry.is_available("acme")
        assert "acme_lazy" not in sys.modules
        assert type(registry.get("acme")).__name__ == "Acme"
        assert registry.load("acme") is sys.modules["acme_lazy"].Acme

    @pytest.mark.parametrize("target", ["tidegate.nowhere:Engine", "tidegate.registry:Nothing", "not a path"])
    def test_a_path_that_leads_nowhere_is_named(self, registry: PluginRegistry[Engine], target: str) -> None:
        """It is broken; no extra would help."""
        registry.register_lazy("acme", target)
        error = failure(registry, "acme")
        assert error.code == "TG611"
        assert repr(target) in error.message

    @pytest.mark.parametrize(
        ("target", "install_this"),
        [
            ("tidegate.needs_library:Acme [mssql]", "tidegate[mssql]"),
            ("tidegate.needs_library:Acme", "tidegate[duckdb]"),
        ],
    )
    def test_a_missing_extra_of_ours_is_named(
        self,
        registry: PluginRegistry[Engine],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        target: str,
        install_this: str,
    ) -> None:
        """The declared extra, or else the plugin's name."""
        (tmp_path / "needs_library.py").write_text("import no_such_library\n")
        monkeypatch.setattr(tidegate, "__path__", [*tidegate.__path__, str(tmp_path)])
        registry.register_lazy("duckdb", target)
        error = failure(registry, "duckdb")
        assert isinstance(error, ConfigurationError)
        assert error.code == "TG612"
        assert error.hint == f"pip install '{install_this}'"

    def test_a_missing_library_of_others_names_no_package(
        self, registry: PluginRegistry[Engine], install: Install
    ) -> None:
        """A dotted path does not say which package it belongs to."""
        install("acme", {}, {"acme_needs": "import no_such_library\n"})
        registry.register_lazy("acme", "acme_needs:Acme [cloud]")
        error = failure(registry, "acme")
        assert error.code == "TG611"
        assert "no_such_library" in error.message

    def test_sixteen_threads_load_one_class(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """First use may be a race."""
        install("acme", {}, {"acme_raced": "import time; time.sleep(0.02)\n" + GOOD})
        registry.register_lazy("acme", "acme_raced:Acme")
        instances = race(16, lambda: registry.get_or_create("acme"))
        assert len({id(instance) for instance in instances}) == 1

    def test_a_module_that_registers_itself_does_not_deadlock(
        self, registry: PluginRegistry[Engine], install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No lock is held while importing, so registering during an import never waits for that import."""
        monkeypatch.setattr(sys.modules[__name__], "shared", registry, raising=False)
        source = f"import time; time.sleep(0.02)\nfrom {__name__} import shared\n{GOOD}shared.register('other', Acme)\n"
        install("acme", {}, {"acme_self": source})
        registry.register_lazy("acme", "acme_self:Acme")
        race(8, lambda: registry.get_or_create("acme"))
        assert registry.list_plugins() == ["acme", "other"]


class TestEntryPoints:
    def test_are_found_and_not_imported(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """Discovery reads metadata only."""
        install("acme", {"acme": "acme_found:Acme"}, {"acme_found": GOOD})
        assert registry.list_plugins() == ["acme"]
        assert "acme_found" not in sys.modules
        assert type(registry.get("acme")).__name__ == "Acme"

    def test_are_discovered_once(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """What is installed after the first lookup is found by the next process."""
        assert registry.list_plugins() == []
        install("acme", {"acme": "acme_late:Acme"}, {"acme_late": GOOD})
        assert registry.list_plugins() == []

    @pytest.mark.parametrize("looked_up_first", [False, True])
    def test_give_way_to_a_registration_by_hand(
        self, registry: PluginRegistry[Engine], install: Install, *, looked_up_first: bool
    ) -> None:
        """Whether it came before or after discovery."""
        install("acme", {"fast": "acme_shadowed:Acme"}, {"acme_shadowed": GOOD})
        if looked_up_first:
            assert registry.is_available("fast")
        registry.register("fast", Fast)
        assert type(registry.get("fast")) is Fast
        assert "acme_shadowed" not in sys.modules

    def test_a_broken_one_harms_no_other(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """It is reported, with its package, to whoever asks for it."""
        install("acme", {"acme": "acme_works:Acme"}, {"acme_works": GOOD})
        install("bad-plugins", {"bad": "bad_module:Bad"}, {"bad_module": "raise RuntimeError('out of order')\n"})
        assert registry.list_plugins() == ["acme", "bad"]
        assert isinstance(registry.get("acme"), Engine)
        error = failure(registry, "bad")
        assert error.code == "TG611"
        assert "RuntimeError: out of order" in error.message
        assert "package 'bad-plugins'" in (error.hint or "")
        assert error.details["target"] == "bad_module:Bad"

    def test_one_of_the_wrong_class_is_refused(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """When it is asked for."""
        install("acme", {"wrong": "acme_wrong:Acme"}, {"acme_wrong": "class Acme: pass\n"})
        assert registry.is_available("wrong")
        error = failure(registry, "wrong")
        assert error.code == "TG613"
        assert "acme_wrong:Acme" in error.message

    @pytest.mark.parametrize(
        ("package", "target", "install_this"),
        [
            ("tidegate", "needs_extra:Acme [mssql]", "tidegate[mssql]"),
            ("tidegate", "needs_extra:Acme", "tidegate[plugin]"),
            ("acme", "needs_extra:Acme [vault,cloud]", "acme[vault,cloud]"),
        ],
    )
    def test_a_missing_extra_says_what_to_install(
        self, registry: PluginRegistry[Engine], install: Install, package: str, target: str, install_this: str
    ) -> None:
        """The extra that it declares; for our own, else, the one with the plugin's name."""
        install(package, {"plugin": target}, {"needs_extra": "import no_such_library\n"})
        error = failure(registry, "plugin")
        assert isinstance(error, ConfigurationError)
        assert error.code == "TG612"
        assert error.hint == f"pip install '{install_this}'"
        assert "no_such_library" in error.message

    def test_a_missing_library_without_an_extra_is_the_packages_fault(
        self, registry: PluginRegistry[Engine], install: Install
    ) -> None:
        """A package of others that declares no extra gets no invented one."""
        install("acme", {"plugin": "needs_more:Acme"}, {"needs_more": "import no_such_library\n"})
        assert failure(registry, "plugin").code == "TG611"

    def test_a_failed_import_is_tried_again(self, registry: PluginRegistry[Engine], install: Install) -> None:
        """In a notebook the missing library may be installed between two attempts."""
        install("acme", {"plugin": "needs_soon:Acme"}, {"needs_soon": f"import soon_there\n{GOOD}"})
        assert failure(registry, "plugin").code == "TG611"
        install("soon-there", {}, {"soon_there": ""})
        sys.path_importer_cache.clear()
        assert isinstance(registry.get("plugin"), Engine)


def race(threads: int, call: Callable[[], Engine]) -> list[Engine]:
    """Return what `call` gives to threads that start it at one moment."""
    barrier = threading.Barrier(threads)
    got: list[Engine] = []

    def run() -> None:
        barrier.wait()
        got.append(call())

    workers = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    assert len(got) == threads, "a thread failed or hangs"
    return got
