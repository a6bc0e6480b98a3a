"""Secret backends: what they hold gets into connections, and what they refuse is told so that it can be mended.

Secrets Manager and the parameter store are asked at moto, a server. The others are contract-tested: through their own
client libraries where they have one, against small servers that answer as documented.
"""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import grpc
import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import CredentialUnavailableError
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
    SecretManagerServiceRestTransport,
)

from tests.behaviour import secret_servers
from tests.behaviour.secret_servers import Server, serving
from tests.services import free_port
from tidegate import create_driver, masking
from tidegate.errors import ConfigurationError, PlatformError, SecretUnavailableError, TidegateError
from tidegate.reporting import ExecutionResult
from tidegate.secrets import (
    PROVIDER_VARIABLE,
    BaseSecretProvider,
    native_provider,
    resolver_registry,
    secret_provider_registry,
)
from tidegate.secrets.aws import AwsParameterStoreProvider, AwsSecretsManagerProvider
from tidegate.secrets.azure import AzureKeyVaultProvider
from tidegate.secrets.databricks import DatabricksSecretProvider
from tidegate.secrets.gcp import GcpSecretManagerProvider
from tidegate.secrets.vault import VaultSecretProvider

BACKENDS = ("aws-sm", "aws-ssm", "azure-kv", "databricks", "gcp-sm", "vault")
NOBODY = ("AWS_PROFILE", "AWS_REGION", "VAULT_NAMESPACE", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_CACERT")


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Forget the secrets that a test registers, and know nobody but the test."""
    monkeypatch.setattr(masking, "_values", frozenset())
    monkeypatch.setattr(masking, "_written", ())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in NOBODY:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)


@dataclass(frozen=True, slots=True)
class Backend:
    """A provider, the server that it asks, and where the secrets of `secret_servers` are."""

    provider: BaseSecretProvider
    server: Server
    source: str


class Ada:
    """An identity of Azure."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token-of-ada", int(time.time()) + 3600)


class Redirected(RequestsTransport):
    """Takes requests for a key vault, which are always HTTPS, to the test's server."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: Any, **options: Any) -> Any:
        asked = request.url
        request.url = asked.replace("https://team.vault.azure.net", self._url)
        try:
            return super().send(request, **options)
        finally:
            request.url = asked  # a retry must see a key vault again


def at_aws(monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[BaseSecretProvider, str]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    return AwsSecretsManagerProvider(), "prod/db"


def at_ssm(monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[BaseSecretProvider, str]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    return AwsParameterStoreProvider(), "/prod/"


def at_azure(monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[BaseSecretProvider, str]:
    options = {"transport": Redirected(url), "retry_backoff_factor": 0.01}
    return AzureKeyVaultProvider(credential=Ada(), client_options=options), "https://team.vault.azure.net"


def at_databricks(monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[BaseSecretProvider, str]:
    config = Config(host=url, token="dapi-token", retry_timeout_seconds=1, http_timeout_seconds=2)
    return DatabricksSecretProvider(client=WorkspaceClient(config=config)), "etl"


def at_gcp(monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[BaseSecretProvider, str]:
    transport = SecretManagerServiceRestTransport(
        host=url.removeprefix("http://"), url_scheme="http", credentials=AnonymousCredentials()
    )
    return GcpSecretManagerProvider(client=SecretManagerServiceClient(transport=transport), timeout=1), "acme"


def at_vault(monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[BaseSecretProvider, str]:
    monkeypatch.setenv("VAULT_ADDR", url)
    monkeypatch.setenv("VAULT_TOKEN", "s.root")
    return VaultSecretProvider(), "kv/app/db"


CONTRACTS = {
    "aws-sm": (secret_servers.aws, at_aws),
    "aws-ssm": (secret_servers.aws, at_ssm),
    "azure-kv": (secret_servers.azure, at_azure),
    "databricks": (secret_servers.databricks, at_databricks),
    "gcp-sm": (secret_servers.gcp, at_gcp),
    "vault": (secret_servers.vault, at_vault),
}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Backend]]:
    """Start the server of a backend, by name."""
    with ExitStack() as stack:

        def started(name: str) -> Backend:
            answer, provider_at = CONTRACTS[name]
            server = stack.enter_context(serving(answer))
            provider, source = provider_at(monkeypatch, server.url)
            return Backend(provider, server, source)

        yield started


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.supports("secrets", name, "fetch", evidence="contract-tested"))
        for name in BACKENDS
    ]
)
def backend(request: pytest.FixtureRequest, start: Callable[[str], Backend]) -> Backend:
    """Each backend."""
    return start(request.param)


def failure(backend: Backend, key: str = "db-password", source: str | None = None) -> TidegateError:
    """Return the error of a question, which shows no secret."""
    with pytest.raises(TidegateError) as caught:
        backend.provider.get_secret(key, backend.source if source is None else source)
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.render()
    assert not any(value in shown for value in secret_servers.SECRETS.values())
    return caught.value


class TestEveryBackend:
    """Contract-tested: the answers are those that each service documents."""

    def test_a_secret_is_read_and_hidden(self, backend: Backend) -> None:
        assert backend.provider.get_secrets(["db-password", "db-user"], backend.source) == secret_servers.SECRETS
        assert masking.mask("it is hunter2-é of lovelace-7") == "it is *** of ***"

    def test_it_is_remembered(self, backend: Backend) -> None:
        backend.provider.get_secret("db-password", backend.source)
        asked = len(backend.server.asked)
        assert backend.provider.get_secret("db-password", backend.source) == "hunter2-é"
        assert len(backend.server.asked) == asked
        backend.provider.clear_cache()
        backend.server.secrets["db-password"] = "rotated"
        assert backend.provider.get_secret("db-password", backend.source) == "rotated"

    def test_a_missing_secret_is_named(self, backend: Backend) -> None:
        error = failure(backend, "db-pasword")
        assert (type(error), error.code) == (ConfigurationError, "TG605")
        assert "db-pasword" in error.message
        assert error.hint

    def test_a_secret_that_is_made_now_is_found_by_the_next_attempt(self, backend: Backend) -> None:
        failure(backend, "late")
        backend.server.secrets["late"] = "here"
        assert backend.provider.get_secret("late", backend.source) == "here"

    def test_a_refusal_says_which_permission_it_takes(self, backend: Backend) -> None:
        backend.server.mood = "refusing"
        error = failure(backend)
        assert (type(error), error.code) == (PlatformError, "TG606")
        assert "may not be read" in error.message
        permissions = (
            "GetSecretValue",
            "ssm:GetParameter",
            "Key Vault Secrets User",
            "READ",
            "secretAccessor",
            "policy",
        )
        assert any(permission in str(error.hint) for permission in permissions)

    @pytest.mark.parametrize("mood", ["throttling", "down"])
    def test_what_may_pass_may_be_tried_again(self, backend: Backend, mood: secret_servers.Mood) -> None:
        backend.server.mood = mood
        error = failure(backend)
        assert (type(error), error.code, error.transient) == (SecretUnavailableError, "TG608", True)
        backend.server.mood = "open"
        assert backend.provider.get_secret("db-password", backend.source) == "hunter2-é"

    @pytest.mark.parametrize("name", BACKENDS)
    def test_nobody_there_may_be_tried_again(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        provider, source = CONTRACTS[name][1](monkeypatch, url)
        if name == "gcp-sm":  # gRPC, as without a client of one's own
            channel = grpc.insecure_channel(url.removeprefix("http://"))
            client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
            provider = GcpSecretManagerProvider(client=client, timeout=1)
        error = failure(Backend(provider, Server(url), source))
        assert (type(error), error.code) == (SecretUnavailableError, "TG608")

    def test_an_error_is_one_line(self, backend: Backend) -> None:
        backend.server.mood = "refusing"
        assert "\n" not in failure(backend).message

    @pytest.mark.parametrize("name", [*BACKENDS, "file"])
    def test_it_is_a_prefix_and_a_provider(self, name: str) -> None:
        assert resolver_registry.load(name) is secret_provider_registry.load(name)
        assert isinstance(secret_provider_registry.get(name), BaseSecretProvider)

    @pytest.mark.parametrize("name", [*BACKENDS, "file"])
    def test_a_misspelled_option_is_refused(self, name: str) -> None:
        with pytest.raises(TypeError):
            secret_provider_registry.get(name, cache_tll=3)


@pytest.mark.supports("secrets", "aws-sm", "fetch", evidence="emulator")
class TestSecretsManager:
    """At a moto server."""

    @pytest.fixture
    def name(self, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
        return f"prod/{uuid.uuid4().hex}"

    def make(self, name: str, region: str = "eu-west-1", **value: Any) -> str:
        return str(boto3.client("secretsmanager", region_name=region).create_secret(Name=name, **value)["ARN"])

    def test_the_key_is_a_field_of_its_json(self, name: str) -> None:
        """As AWS writes them for databases: the port is a number."""
        self.make(name, SecretString='{"password": "hunter2", "port": 5432, "ssl": true}')
        found = AwsSecretsManagerProvider().get_secrets(["password", "port", "ssl"], name)
        assert found == {"password": "hunter2", "port": "5432", "ssl": "true"}

    def test_a_plain_text_is_named_by_the_key(self, name: str) -> None:
        self.make(name, SecretString="hunter2\n")
        assert AwsSecretsManagerProvider().get_secret(name) == "hunter2\n"
        assert AwsSecretsManagerProvider().get_secret("", name) == "hunter2\n"

    def test_a_field_of_a_plain_text_says_how_to_name_it(self, name: str) -> None:
        self.make(name, SecretString="hunter2")
        with pytest.raises(ConfigurationError, match="has no field 'password'") as caught:
            AwsSecretsManagerProvider().get_secret("password", name)
        assert "it is plain text: let the key be its name" in str(caught.value.hint)

    def test_bytes_are_text(self, name: str) -> None:
        self.make(name, SecretBinary=b'{"password": "hunter2"}')
        assert AwsSecretsManagerProvider().get_secret("password", name) == "hunter2"

    def test_bytes_that_are_no_text_are_refused_unseen(self, name: str) -> None:
        self.make(name, SecretBinary=b"\xff\xfehunter2")
        with pytest.raises(PlatformError, match="is not UTF-8 text") as caught:
            AwsSecretsManagerProvider().get_secret(name)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    def test_the_region_of_an_arn_wins(self, name: str) -> None:
        arn = self.make(name, region="ap-south-1", SecretString='{"password": "far away"}')
        assert AwsSecretsManagerProvider().get_secret("password", arn) == "far away"
        with pytest.raises(ConfigurationError, match="does not exist"):
            AwsSecretsManagerProvider().get_secret("password", name)

    def test_a_field_like_it_is_suggested(self, name: str) -> None:
        self.make(name, SecretString='{"password": "hunter2"}')
        with pytest.raises(ConfigurationError, match="has no field 'pasword'") as caught:
            AwsSecretsManagerProvider().get_secret("pasword", name)
        assert "did you mean 'password'?" in str(caught.value.hint)

    def test_all_fields_come_of_one_version(self, name: str) -> None:
        """A rotation between two fields must not pair an old user with a new password."""
        self.make(name, SecretString='{"user": "old", "password": "old"}')
        provider = AwsSecretsManagerProvider()
        assert provider.get_secret("user", name) == "old"
        text = '{"user": "new", "password": "new"}'
        boto3.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
        assert provider.get_secret("password", name) == "old"
        provider.clear_cache()
        assert provider.get_secrets(["user", "password"], name) == {"user": "new", "password": "new"}

    def test_no_credentials_says_what_to_set(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(PlatformError, match="Unable to locate credentials") as caught:
            AwsSecretsManagerProvider().get_secret("password", name)
        assert caught.value.code == "TG606"
        assert "AWS_PROFILE" in str(caught.value.hint)


class TestParameterStore:
    """At a moto server."""

    @pytest.mark.supports("secrets", "aws-ssm", "fetch", evidence="emulator")
    @pytest.mark.parametrize("ending", ["", "/"])
    def test_a_parameter_is_decrypted(self, moto_url: str, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
        folder = f"/{uuid.uuid4().hex}"
        boto3.client("ssm").put_parameter(Name=f"{folder}/password", Type="SecureString", Value="hunter2")
        assert AwsParameterStoreProvider().get_secret("password", folder + ending) == "hunter2"
        assert AwsParameterStoreProvider().get_secret(f"{folder}/password") == "hunter2"


class TestKeyVault:
    """Contract-tested."""

    def test_a_version_may_be_named(self, start: Callable[[str], Backend]) -> None:
        vault = start("azure-kv")
        assert vault.provider.get_secret("db-user/v1", "team") == "lovelace-7"
        assert failure(vault, "db-user/v2", "team").code == "TG605"

    def test_without_a_vault_says_what_to_write(self, start: Callable[[str], Backend]) -> None:
        error = failure(start("azure-kv"), "db-user", "")
        assert "has no vault" in error.message

    def test_nobody_to_be_is_told(self, start: Callable[[str], Backend]) -> None:
        class Nobody:
            def get_token(self, *scopes: str, **options: Any) -> AccessToken:
                raise CredentialUnavailableError(message="no identity\nwas found")

        server = start("azure-kv").server
        options = {"transport": Redirected(server.url)}
        provider = AzureKeyVaultProvider(credential=Nobody(), client_options=options)
        error = failure(Backend(provider, server, "team"))
        assert (error.code, error.message.partition(" cannot ")[2]) == ("TG606", "be read: no identity")
        assert "az login" in str(error.hint)


class TestGoogle:
    """Contract-tested."""

    def test_nobody_to_be_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
        error = failure(Backend(GcpSecretManagerProvider(), Server(""), "acme"))
        assert error.code == "TG606"
        assert "gcloud auth application-default login" in str(error.hint)

    def test_a_version_may_be_named(self, start: Callable[[str], Backend]) -> None:
        google = start("gcp-sm")
        google.server.secrets["db-user@3"] = "third"
        assert google.provider.get_secret("db-user/versions/3", "acme") == "third"
        assert google.provider.get_secret("projects/acme/secrets/db-user") == "lovelace-7"

    def test_without_a_project_says_what_to_write(self, start: Callable[[str], Backend]) -> None:
        assert "has no project" in failure(start("gcp-sm"), source="").message

    @pytest.mark.parametrize("name", ["gcp-sm", "databricks"])
    def test_bytes_that_are_no_text_are_refused(self, start: Callable[[str], Backend], name: str) -> None:
        backend = start(name)
        backend.server.secrets["key"] = b"\xff\xfe"
        assert "is not UTF-8 text" in failure(backend, "key").message


class TestDatabricks:
    """Contract-tested."""

    def test_a_key_like_it_is_suggested(self, start: Callable[[str], Backend]) -> None:
        assert "did you mean 'db-password'?" in str(failure(start("databricks"), "db-pasword").hint)

    def test_an_unknown_scope_is_named(self, start: Callable[[str], Backend]) -> None:
        assert "scope 'elt' does not exist" in failure(start("databricks"), source="elt").message

    def test_nobody_to_be_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABRICKS_HOST", "")
        with pytest.raises(PlatformError, match="cannot configure default credentials") as caught:
            DatabricksSecretProvider().get_secret("key", "etl")
        assert caught.value.code == "TG606"
        assert "set DATABRICKS_HOST" in str(caught.value.hint)


class TestVault:
    """Contract-tested."""

    @pytest.fixture
    def vault(self, start: Callable[[str], Backend]) -> Backend:
        return start("vault")

    def test_all_fields_cost_one_request(self, vault: Backend) -> None:
        vault.provider.get_secrets(["db-password", "db-user"], "kv/app/db")
        assert [(asked.method, asked.path) for asked in vault.server.asked] == [("GET", "/v1/kv/data/app/db")]

    def test_the_namespace_is_sent(self, vault: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VAULT_NAMESPACE", "team")
        vault.provider.get_secret("db-user", "kv/app/db")
        assert vault.server.asked[0].headers["X-Vault-Namespace"] == "team"

    def test_a_wrong_token_is_refused_and_hidden(self, vault: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VAULT_TOKEN", "s.wrong-token\n")
        error = failure(vault)
        assert (
            error.message
            == "secret 'kv/app/db' of Vault may not be read: HTTP 403, 1 error occurred: * permission denied"
        )
        assert 'path "kv/data/app/db" { capabilities = ["read"] }' in str(error.hint)
        assert masking.mask("s.wrong-token") == "***"

    def test_a_deleted_version_is_told_from_a_wrong_path(self, vault: Backend) -> None:
        assert "is deleted in its latest version" in failure(vault, source="kv/gone").message
        assert "does not exist" in failure(vault, source="kv/nowhere").message

    def test_the_path_of_the_api_is_recognised(self, vault: Backend) -> None:
        assert "leave `data/` out" in str(failure(vault, source="kv/data/app/db").hint)

    def test_version_1_is_told(self, vault: Backend) -> None:
        error = failure(vault, "password", "old/app")
        assert "version 2" in error.message
        assert "of version 1" not in error.render()

    def test_a_sealed_vault_may_be_tried_again(self, vault: Backend) -> None:
        vault.server.mood = "down"
        assert "Vault is sealed" in failure(vault).message

    def test_an_approle_logs_in_once_and_again_when_it_has_expired(
        self, vault: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("VAULT_TOKEN")
        monkeypatch.setenv("VAULT_ROLE_ID", "etl")
        monkeypatch.setenv("VAULT_SECRET_ID", "the-secret-id")
        for _ in range(2):
            vault.provider.clear_cache()
            assert vault.provider.get_secret("db-user", "kv/app/db") == "lovelace-7"
        vault.server.secrets["valid"] = "another"
        vault.provider.clear_cache()
        assert vault.provider.get_secret("db-user", "kv/app/db") == "lovelace-7"
        logins = [asked for asked in vault.server.asked if asked.method == "POST"]
        assert len(logins) == 2
        assert masking.mask("the-secret-id") == "***"

    def test_a_wrong_secret_id_is_refused(self, vault: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VAULT_TOKEN")
        monkeypatch.setenv("VAULT_ROLE_ID", "etl")
        monkeypatch.setenv("VAULT_SECRET_ID", "a-wrong-id")
        error = failure(vault)
        assert error.code == "TG606"
        assert "login of the AppRole: HTTP 400, invalid role or secret ID" in error.message

    def test_the_token_of_vault_login_is_found(self, vault: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VAULT_TOKEN")
        home = Path.home()
        home.mkdir()
        (home / ".vault-token").write_text("s.root\n", encoding="utf-8")
        assert vault.provider.get_secret("db-user", "kv/app/db") == "lovelace-7"

    @pytest.mark.parametrize("missing", ["VAULT_ADDR", "VAULT_TOKEN"])
    def test_what_is_not_set_is_named(self, vault: Backend, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
        monkeypatch.delenv(missing)
        error = failure(vault)
        assert error.code == "TG606"
        assert missing in error.render()
        assert vault.server.asked == []

    def test_a_redirect_does_not_get_the_token(self, vault: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever answers for Vault could send it anywhere."""
        with serving(lambda _, __: secret_servers.Answer(status=307, headers={"Location": vault.server.url})) as other:
            monkeypatch.setenv("VAULT_ADDR", other.url)
            assert "HTTP 307" in failure(vault).message
        assert vault.server.asked == []


class TestLoading:
    """A run whose catalog of tables is reached by a URL with a password in it, kept in Vault."""

    METADATA = """
connections:
  - {{name: landing, format: csv, configure: {{base_path: landing}}}}
  - name: lake
    format: iceberg
    configure: {{base_path: lake, catalog_type: sql, url: catalog-url}}
    secrets_ref: {{"{source}": [url]}}
dataflows:
  - name: orders
    source: {{connection_name: landing, table: orders.csv}}
    destination: {{connection_name: lake, schema_name: sales, table: orders}}
"""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "landing").mkdir()
        (tmp_path / "landing" / "orders.csv").write_text("id\n1\n", encoding="utf-8")
        return tmp_path

    def load(self, root: Path, vault: Server, source: str) -> ExecutionResult:
        resolver_registry.clear_singletons()
        vault.secrets["catalog-url"] = f"sqlite:///{root / 'secret-catalog.db'}"
        (root / "tidegate.yaml").write_text(self.METADATA.format(source=source), encoding="utf-8")
        with create_driver(metadata_provider=root, retry_count=2, retry_delay=0.01) as driver:
            return driver.run()

    def test_a_secret_by_prefix_reaches_the_destination(self, start: Callable[[str], Backend], root: Path) -> None:
        result = self.load(root, start("vault").server, "vault:kv/app/db")
        assert (result.succeeded, result.errors) == (1, {})
        assert (root / "secret-catalog.db").stat().st_size > 0

    def test_the_own_provider_of_the_run_may_be_named(
        self, start: Callable[[str], Backend], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sources without a prefix go to it."""
        monkeypatch.setenv(PROVIDER_VARIABLE, "vault")
        assert self.load(root, start("vault").server, "kv/app/db").errors == {}

    def test_a_vault_that_is_away_for_a_moment_costs_an_attempt(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        def waking(server: Server, request: secret_servers.Request) -> secret_servers.Answer:
            server.mood = "down" if len(server.asked) == 1 else "open"
            return secret_servers.vault(server, request)

        with serving(waking) as server:
            at_vault(monkeypatch, server.url)
            assert self.load(root, server, "vault:kv/app/db").errors == {}
        assert len(server.asked) == 2

    def test_an_unknown_provider_gets_a_suggestion(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(PROVIDER_VARIABLE, "valt")
        with pytest.raises(ConfigurationError) as caught:
            native_provider()
        assert caught.value.code == "TG610"
        assert "did you mean 'vault'?" in str(caught.value.hint)

    def test_without_a_name_it_is_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APP_KEY", "value")
        assert native_provider().get_secret("KEY", "APP_") == "value"
