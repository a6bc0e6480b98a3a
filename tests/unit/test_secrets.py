"""Secrets get into a connection: all of them or none, and never into sight."""

import threading
import time
import traceback

import pytest

from tidegate import masking
from tidegate.errors import (
    ConfigurationError,
    PlatformError,
    SecretUnavailableError,
    TidegateError,
    WatermarkError,
)
from tidegate.models import Connection
from tidegate.secrets import (
    BaseSecretProvider,
    BaseSecretResolver,
    EnvResolver,
    EnvSecretProvider,
    NativeProviderResolver,
    get_registered_secret_values,
    parse_source,
    registered_resolver,
    resolve_secrets,
    resolver_registry,
    secret_provider_registry,
)


class Vault(BaseSecretProvider):
    """A provider over a dict, which counts how often it was asked."""

    def __init__(self, secrets: dict[tuple[str, str], object], cache_ttl: float = 300) -> None:
        super().__init__(cache_ttl)
        self.secrets = secrets
        self.asked: list[tuple[str, str]] = []

    def _fetch_secret(self, key: str, source: str) -> str:
        self.asked.append((source, key))
        time.sleep(0.005)
        return self.secrets[source, key]  # type: ignore[return-value]


class Broken(BaseSecretResolver):
    """A resolver that fails as it was told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def resolve(self, key: str, source: str) -> str:
        raise self.error


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets that a test registers."""
    monkeypatch.setattr(masking, "_values", frozenset())
    monkeypatch.setattr(masking, "_written", ())


def database(secrets_ref: dict[str, list[str]], **configure: object) -> Connection:
    return Connection.model_validate(
        {"name": "crm", "format": "sql", "configure": configure, "secrets_ref": secrets_ref}
    )


class TestProviderCache:
    def test_asks_once_for_each_key_of_each_source(self) -> None:
        """The same key in two sources is two secrets."""
        vault = Vault({("a", "key"): "secret-a", ("b", "key"): "secret-b"})
        for _ in range(2):
            assert vault.get_secret("key", "a") == "secret-a"
            assert vault.get_secret("key", "b") == "secret-b"
        assert vault.asked == [("a", "key"), ("b", "key")]

    def test_asks_again_once_the_time_is_over(self) -> None:
        """A rotated secret is seen after `cache_ttl` seconds at the latest."""
        vault = Vault({("", "key"): "old"}, cache_ttl=0.05)
        assert vault.get_secret("key") == "old"
        vault.secrets["", "key"] = "new"
        time.sleep(0.06)
        assert vault.get_secret("key") == "new"

    def test_zero_remembers_nothing(self) -> None:
        """Each call asks the backend."""
        vault = Vault({("", "key"): "secret"}, cache_ttl=0)
        assert vault.get_secret("key") == vault.get_secret("key") == "secret"
        assert len(vault.asked) == 2

    def test_clearing_forgets(self) -> None:
        """The next call asks again."""
        vault = Vault({("", "key"): "old"})
        vault.get_secret("key")
        vault.secrets["", "key"] = "new"
        vault.clear_cache()
        assert vault.get_secret("key") == "new"

    def test_a_failure_is_not_remembered(self) -> None:
        """A secret that is created after the first attempt is found by the second."""
        vault = Vault({})
        with pytest.raises(PlatformError):
            vault.get_secret("key")
        vault.secrets["", "key"] = "secret"
        assert vault.get_secret("key") == "secret"

    def test_sixteen_threads_share_one_fetch(self) -> None:
        """A vault that counts requests is asked once."""
        vault = Vault({("", "key"): "secret"})
        barrier = threading.Barrier(16)
        got: list[str] = []

        def ask() -> None:
            barrier.wait()
            got.append(vault.get_secret("key"))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == ["secret"] * 16
        assert vault.asked == [("", "key")]

    def test_several_at_once(self) -> None:
        """`get_secrets` maps each key to its value."""
        vault = Vault({("s", "a"): "secret-a", ("s", "b"): "secret-b"})
        assert vault.get_secrets(["a", "b"], "s") == {"a": "secret-a", "b": "secret-b"}

    def test_what_it_hands_out_is_hidden(self) -> None:
        """Also for callers that never resolve a connection."""
        Vault({("", "key"): "secret-x"}).get_secret("key")
        assert masking.mask("it is secret-x") == "it is ***"


class TestProviderFailures:
    def test_a_foreign_exception_becomes_ours(self) -> None:
        """With the backend's class and words, and the cause kept."""
        with pytest.raises(PlatformError, match="Vault failed: KeyError") as caught:
            Vault({}).get_secret("key", "scope")
        assert caught.value.code == "TG606"
        assert isinstance(caught.value.__cause__, KeyError)

    @pytest.mark.parametrize("answer", [None, b"bytes", 5])
    def test_an_answer_that_is_no_text_is_refused(self, answer: object) -> None:
        """None in a password field would fail far away from here."""
        with pytest.raises(PlatformError, match=f"returned {type(answer).__name__} instead of text"):
            Vault({("", "key"): answer}).get_secret("key")

    def test_an_unknown_option_is_refused(self) -> None:
        """A misspelled option is not ignored."""
        with pytest.raises(TypeError):
            EnvSecretProvider(cache_tll=3)


@pytest.mark.supports("secrets", "env", "fetch", evidence="real")
class TestEnvironment:
    def test_source_and_key_make_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For the resolver and for the local platform's provider alike."""
        monkeypatch.setenv("APP_DB_PASSWORD", "secret")
        assert EnvResolver().resolve("DB_PASSWORD", "APP_") == "secret"
        assert EnvSecretProvider().get_secret("DB_PASSWORD", "APP_") == "secret"
        assert EnvSecretProvider().get_secret("APP_DB_PASSWORD") == "secret"

    def test_a_change_is_seen_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unless a cache is asked for."""
        provider, caching = EnvSecretProvider(), EnvSecretProvider(cache_ttl=300)
        for value in ("old", "new"):
            monkeypatch.setenv("APP_KEY", value)
            assert provider.get_secret("KEY", "APP_") == value
            assert caching.get_secret("KEY", "APP_") == "old"

    def test_a_missing_variable_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With a similar name that is set, and never a value."""
        monkeypatch.setenv("APP_DB_PASSWORD", "secret-y")
        with pytest.raises(ConfigurationError, match="'APP_DB_PASWORD' is not set") as caught:
            EnvResolver().resolve("DB_PASWORD", "APP_")
        assert caught.value.code == "TG605"
        assert "did you mean 'APP_DB_PASSWORD'?" in (caught.value.hint or "")
        assert "secret-y" not in caught.value.render()


class TestRegistries:
    def test_env_is_registered(self) -> None:
        """As a resolver and as a provider."""
        assert isinstance(registered_resolver("env"), EnvResolver)
        assert isinstance(secret_provider_registry.get("env", cache_ttl=0), EnvSecretProvider)

    def test_an_unknown_prefix_is_none(self) -> None:
        """So that a source that merely contains a colon stays whole."""
        assert registered_resolver("https") is None
        assert "env" in resolver_registry.list_plugins()


class TestParseSource:
    FALLBACK = NativeProviderResolver(Vault({}), ignored="by contract")

    def test_a_known_prefix_is_split_off(self) -> None:
        """What follows the first colon is the argument, even if it is empty."""
        for source, argument in (("env:APP_", "APP_"), ("env:", ""), ("env:A:B", "A:B")):
            resolver, rest = parse_source(source, self.FALLBACK, registered_resolver)
            assert isinstance(resolver, EnvResolver)
            assert rest == argument

    @pytest.mark.parametrize(
        "source",
        [
            "my-scope",
            "",
            ":x",
            "env",
            "https://team-vault.example:443/",
            "C:\\secrets\\app",
            "arn:aws:secretsmanager:eu-west-1:1:secret:prod/rds",
            "ENV:APP_",
        ],
    )
    def test_anything_else_goes_whole_to_the_provider(self, source: str) -> None:
        """URLs, Windows paths and ARNs have colons and no prefix."""
        assert parse_source(source, self.FALLBACK, registered_resolver) == (self.FALLBACK, source)

    def test_without_a_lookup_nothing_is_a_prefix(self) -> None:
        """The provider gets the source as it stands."""
        assert parse_source("env:APP_", self.FALLBACK) == (self.FALLBACK, "env:APP_")


class TestResolve:
    def test_replaces_keys_by_values_in_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From the provider and from a resolver, in the same dict, which others may hold."""
        monkeypatch.setenv("APP_TOKEN_KEY", "token-value")
        vault = Vault({("scope", "DB_PASSWORD"): "password-value", ("https://v.example", "U"): "user-value"})
        connection = database(
            {"scope": ["password"], "https://v.example": ["username"], "env:APP_": ["token"]},
            host="db.example",
            password="DB_PASSWORD",
            username="U",
            token="TOKEN_KEY",
        )
        configure = connection.configure
        resolve_secrets(connection, vault, resolver_lookup=registered_resolver)
        assert configure == {
            "host": "db.example",
            "password": "password-value",
            "username": "user-value",
            "token": "token-value",
        }
        assert connection.configure is configure
        assert get_registered_secret_values() >= {"password-value", "user-value", "token-value"}

    def test_settings_read_before_are_made_anew(self) -> None:
        """The typed view never shows a key as if it were the secret."""
        connection = database({"": ["password"]}, password="KEY")
        assert connection.settings.password == "KEY"
        resolve_secrets(connection, Vault({("", "KEY"): "secret"}))
        assert connection.settings.password == "secret"

    def test_a_lifted_database_name_follows(self) -> None:
        """`database` of the connection was lifted from `configure`, and so was its key."""
        connection = database({"": ["database", "catalog"]}, database="D", catalog="C")
        resolve_secrets(connection, Vault({("", "D"): "sales", ("", "C"): "main"}))
        assert (connection.database, connection.catalog) == ("sales", "main")

    def test_a_database_name_given_apart_stays(self) -> None:
        """It was not lifted."""
        connection = Connection(
            name="crm", format="sql", database="own", configure={"database": "D"}, secrets_ref={"": ("database",)}
        )
        resolve_secrets(connection, Vault({("", "D"): "sales"}))
        assert connection.database == "own"

    def test_a_copy_leaves_the_declaration_alone(self) -> None:
        """The declaration keeps its keys, also if its settings had been read."""
        declared = database({"": ["password"]}, password="KEY")
        assert declared.settings.password == "KEY"
        copy = declared.with_resolved()
        resolve_secrets(copy, Vault({("", "KEY"): "secret"}))
        assert (copy.settings.password, declared.settings.password) == ("secret", "KEY")
        assert (copy.secrets_resolved, declared.secrets_resolved) == (True, False)

    def test_a_second_time_does_nothing(self) -> None:
        """A secret is never sent to the backend as if it were a key."""
        connection, vault = database({"": ["password"]}, password="KEY"), Vault({("", "KEY"): "secret"})
        resolve_secrets(connection, vault)
        resolve_secrets(connection, vault)
        assert connection.configure["password"] == "secret"
        assert vault.asked == [("", "KEY")]

    def test_nothing_to_resolve_is_fine(self) -> None:
        """A connection without `secrets_ref` asks nobody."""
        connection, vault = database({}, password="plain"), Vault({})
        resolve_secrets(connection, vault)
        assert connection.configure == {"password": "plain"}
        assert vault.asked == []


class TestAllOrNothing:
    def test_one_missing_secret_changes_nothing(self) -> None:
        """The first was fetched, and is hidden from the error; the connection still holds keys."""
        connection = database({"scope": ["password", "token"]}, password="P", token="T")
        vault = Vault({("scope", "P"): "password-value"})
        with pytest.raises(PlatformError) as caught:
            resolve_secrets(connection, vault)
        assert connection.configure == {"password": "P", "token": "T"}
        assert not connection.secrets_resolved
        assert "connection 'crm', secret field 'token' of source 'scope'" in str(caught.value)
        assert caught.value.details == {"connection": "crm", "source": "scope", "field": "token"}
        assert "password-value" not in "".join(traceback.format_exception(caught.value))

    def test_references_are_checked_before_anything_is_fetched(self) -> None:
        """A wrong declaration costs no request."""
        vault = Vault({("scope", "P"): "password-value"})
        with pytest.raises(ConfigurationError):
            resolve_secrets(database({"scope": ["password", "token"]}, password="P"), vault)
        assert vault.asked == []

    def test_it_can_be_tried_again(self) -> None:
        """After a failure the connection is as before."""
        connection, vault = database({"": ["password"]}, password="P"), Vault({})
        with pytest.raises(PlatformError):
            resolve_secrets(connection, vault)
        vault.secrets["", "P"] = "secret"
        resolve_secrets(connection, vault)
        assert connection.configure["password"] == "secret"


class TestResolveFailures:
    @pytest.mark.parametrize(
        ("secrets_ref", "configure", "message", "hint"),
        [
            ({"s": ["password"]}, {}, "is not in configure", "add `password: <key of the secret>` there"),
            ({"s": ["password"]}, {"password": ""}, "holds no text", "write the key of the secret there"),
            ({"s": ["port"]}, {"port": 5432}, "holds no text", "write the key of the secret there"),
            ({"s": ["password"], "t": ["password"]}, {"password": "P"}, "is also listed under 's'", "keep one of them"),
        ],
    )
    def test_a_reference_that_does_not_fit(
        self, secrets_ref: dict[str, list[str]], configure: dict[str, object], message: str, hint: str
    ) -> None:
        """TG604 names connection, source and field, and says what to write."""
        with pytest.raises(ConfigurationError, match=message) as caught:
            resolve_secrets(database(secrets_ref, **configure), Vault({}))
        assert caught.value.code == "TG604"
        assert caught.value.hint == hint
        assert caught.value.details["connection"] == "crm"

    def test_a_field_listed_twice_under_one_source_is_one(self) -> None:
        """It says the same thing twice."""
        connection, vault = database({"": ["password", "password"]}, password="P"), Vault({("", "P"): "secret"})
        resolve_secrets(connection, vault)
        assert vault.asked == [("", "P")]

    def test_a_missing_variable(self) -> None:
        """TG605 keeps the resolver's words and hint, and gains the place."""
        with pytest.raises(ConfigurationError) as caught:
            resolve_secrets(
                database({"env:TIDEGATE_TESTS_": ["password"]}, password="NOWHERE"),
                Vault({}),
                resolver_lookup=registered_resolver,
            )
        assert caught.value.code == "TG605"
        assert str(caught.value) == (
            "connection 'crm', secret field 'password' of source 'env:TIDEGATE_TESTS_': "
            "environment variable 'TIDEGATE_TESTS_NOWHERE' is not set"
        )
        assert "set it" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        ("raised", "expected", "code"),
        [
            (RuntimeError("403"), PlatformError, "TG606"),
            (TimeoutError("30 s"), SecretUnavailableError, "TG608"),
            (ConnectionRefusedError("vault"), SecretUnavailableError, "TG608"),
            (WatermarkError("theirs", code="TG501"), WatermarkError, "TG501"),
        ],
    )
    def test_the_class_says_whether_a_retry_makes_sense(
        self, raised: Exception, expected: type[TidegateError], code: str
    ) -> None:
        """A resolver's own exceptions become ours; ours stay what they are. All gain the place."""
        with pytest.raises(expected) as caught:
            resolve_secrets(
                database({"broken:x": ["password"]}, password="P"),
                Vault({}),
                resolver_lookup={"broken": Broken(raised)}.get,
            )
        assert type(caught.value) is expected
        assert caught.value.code == code
        assert str(caught.value).startswith("connection 'crm', secret field 'password' of source 'broken:x': ")
        assert str(raised) in str(caught.value) or raised is caught.value

    def test_a_value_that_does_not_fit_its_field(self) -> None:
        """TG607 says what the field needs, not what the secret is; nothing is replaced."""
        connection = database({"": ["password", "port"]}, password="P")
        connection.configure["port"] = "PORT_KEY"
        vault = Vault({("", "P"): "password-value", ("", "PORT_KEY"): "not-a-port"})
        with pytest.raises(ConfigurationError, match=r"field 'port' .* valid integer") as caught:
            resolve_secrets(connection, vault)
        assert caught.value.code == "TG607"
        assert "not-a-port" not in "".join(traceback.format_exception(caught.value))
        assert connection.configure == {"password": "P", "port": "PORT_KEY"}

    def test_a_number_in_a_secret_fits_a_number_field(self) -> None:
        """A port from a vault is text, and becomes a port."""
        connection = database({"": ["port"]})
        connection.configure["port"] = "PORT_KEY"
        resolve_secrets(connection, Vault({("", "PORT_KEY"): "5432"}))
        assert connection.settings.port == 5432
