"""Connections: where data is, and how to reach it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_serializer, field_validator, model_validator

from tidegate.masking import MASK, mask, mask_within
from tidegate.models.base import (
    Declaration,
    Name,
    Names,
    Options,
    TypedBy,
    broken_rule,
    derived_id,
    object_from_text,
)
from tidegate.models.date_folders import DateFolders

FILE_FORMATS = ("parquet", "csv", "json", "jsonl", "avro", "excel")
LAKEHOUSE_FORMATS = ("delta", "iceberg")

ConnectionType = Literal["file", "lakehouse", "database", "api", "function", "streaming", "mongodb"]

TYPE_OF_FORMAT: dict[str, ConnectionType] = {
    **dict.fromkeys(FILE_FORMATS, "file"),
    **dict.fromkeys(LAKEHOUSE_FORMATS, "lakehouse"),
    "sql": "database",
    "api": "api",
    "function": "function",
    "mongodb": "mongodb",
}

CREDENTIAL_FIELDS = frozenset(
    {
        "password",
        "token",
        "auth_token",
        "api_key_value",
        "client_secret",
        "aws_secret_access_key",
        "aws_session_token",
        "account_key",
        "sas_token",
    }
)

_CREDENTIAL_PROPERTIES = (
    ".access-key-id",
    ".secret-access-key",
    ".session-token",
    "credential",
    ".token",
    ".password",
    ".sas-token",
    ".account-key",
    "_token",
    "access_key",
    "account_key",
    "sas_key",
    "service_account_key",
)
"""Ends of names in `catalog_properties` and `storage_options` that hold credentials; masked as those fields are."""


class LookBack(Declaration):
    """How far back a read starts, besides the position: a fixed span, or a closing day."""

    days: int = Field(default=0, ge=0)
    hours: int = Field(default=0, ge=0)
    months: int = Field(default=0, ge=0)
    years: int = Field(default=0, ge=0)
    closing_day: int | None = Field(default=None, ge=1, le=31)
    """Up to this day of the month: first of the previous month; later: first of this month."""


class LookBackFields(Declaration):
    """The look-back keys shared by connections and sources."""

    backward_days: int = Field(default=0, ge=0)
    backward_hours: int = Field(default=0, ge=0)
    backward_months: int = Field(default=0, ge=0)
    backward_years: int = Field(default=0, ge=0)
    backward_closing_day: int | None = Field(default=None, ge=1, le=31)
    backward: LookBack | None = None


class ConnectionSettings(LookBackFields):
    """The keys of a connection's `configure`. Options that name a reader or writer are passed to it."""

    base_path: str | None = None
    """Folder below which tables are found: `{base_path}/{schema_name}/{table}`. Relative to the metadata file."""
    host: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    catalog: str | None = None
    catalog_type: Literal["sql", "rest", "glue", "hive", "dynamodb", "bigquery"] | None = None
    """Kind of Iceberg catalog; without it a SQL catalog on SQLite, `{base_path}/catalog.db`."""
    catalog_properties: Options = Field(default_factory=dict, repr=False)
    """Further properties of an Iceberg catalog, by the names that PyIceberg gives them."""
    database: str | None = None
    database_type: Literal["mysql", "mssql", "postgresql", "oracle", "sqlite", "duckdb"] | None = None
    auth_type: (
        Literal[
            "password",
            "service_principal",
            "managed_identity",
            "access_token",
            "bearer",
            "basic",
            "api_key",
            "oauth2_client_credentials",
            "aws_sigv4",
        ]
        | None
    ) = None
    tenant_id: str | None = None
    token: str | None = Field(default=None, repr=False)
    url: str | None = Field(default=None, repr=False)
    """Address of an Iceberg catalog; or a database URL, with `{user}`-style placeholders for the other fields."""
    driver: str | None = None
    max_concurrency: int | None = Field(default=None, ge=1)
    """Most dataflows that use this connection at the same time; without it, as many as run."""
    read_options: Options = Field(default_factory=dict)
    write_options: Options = Field(default_factory=dict)
    merge_options: Options = Field(default_factory=dict)
    use_schema_hint: bool = True
    schema_hint_type_system: str | None = None
    """The SQL dialect in which schema hints name types, for instance `spark` or `postgres`."""
    use_hive_partitioning: bool = False
    date_folder_partitions: str | None = None
    """Pattern of dated folders, for instance `{year}/{month}/{day}`: older ones are not looked into."""
    base_url: str | None = None
    auth_token: str | None = Field(default=None, repr=False)
    api_key_header: str = "X-API-Key"
    api_key_value: str | None = Field(default=None, repr=False)
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    scope: str | None = None
    token_auth_method: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"
    token_request_body_format: Literal["form", "json"] = "form"
    token_request_extras: Options = Field(default_factory=dict)
    aws_region: str | None = None
    aws_service: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = Field(default=None, repr=False)
    aws_session_token: str | None = Field(default=None, repr=False)
    account_name: str | None = None
    """Azure storage account of an `az://` path; an `abfss://` path names it itself."""
    account_key: str | None = Field(default=None, repr=False)
    sas_token: str | None = Field(default=None, repr=False)
    """Shared access signature of an Azure storage account."""
    storage_options: Options = Field(default_factory=dict, repr=False)
    """Further options of an object store, such as `endpoint_url`, named as in Rust's `object_store`."""
    default_headers: Options = Field(default_factory=dict, repr=False)
    timeout: float = Field(default=30, gt=0)
    """Seconds a request may take."""
    watermark_to_param_timezone: str = "UTC"

    @field_validator("date_folder_partitions")
    @classmethod
    def _has_dates(cls, pattern: str | None) -> str | None:
        try:
            DateFolders.parse(pattern or "{year}")
        except ValueError as error:
            raise broken_rule("TG102", f"{pattern!r} has no dated folders: {error}") from None
        return pattern


class Connection(Declaration):
    """A place that data is read from or written to.

    `connection_type` is derived from `format` when it is not given. `configure` holds what the user wrote;
    :attr:`settings` is its typed view. Credentials are masked in `repr` and in dumps.
    """

    name: Name
    connection_id: str = ""
    workspace_id: str | None = None
    connection_type: ConnectionType | None = None
    format: str | None = None
    catalog: str | None = None
    """Name of the Iceberg catalog of the tables; also read from `configure`."""
    database: str | None = None
    """Database of the tables, in Iceberg their namespace without a `schema_name`; also read from `configure`."""
    configure: Annotated[Options, TypedBy(ConnectionSettings)] = Field(default_factory=dict)
    secrets_ref: dict[str, Names] = Field(default_factory=dict)
    """`{source: [configure fields]}`: each field holds the secret's key, and is replaced by its value."""
    is_active: bool = True
    _secrets_resolved: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("format"), str):
            data["format"] = data["format"].lower()
            if data.get("connection_type") is None and data["format"] in TYPE_OF_FORMAT:
                data["connection_type"] = TYPE_OF_FORMAT[data["format"]]
        configure = data.get("configure")
        if isinstance(configure, str):
            with suppress(ValueError):  # the field itself says what is wrong with the text
                configure = data["configure"] = object_from_text(configure)
        if isinstance(configure, dict):
            for lifted in ("catalog", "database"):
                if data.get(lifted) is None and configure.get(lifted) is not None:
                    data[lifted] = configure[lifted]
        if not data.get("connection_id") and isinstance(data.get("name"), str):
            data["connection_id"] = derived_id("connection", data["name"])
        return data

    @model_validator(mode="after")
    def _type_fits_format(self) -> Self:
        expected = TYPE_OF_FORMAT.get(self.format or "")
        if expected and self.connection_type not in {expected, "streaming"}:
            msg = f"format {self.format!r} belongs to connection_type {expected!r}, not {self.connection_type!r}"
            raise broken_rule("TG102", msg, field="connection_type")
        return self

    @cached_property
    def settings(self) -> ConnectionSettings:
        """`configure` as typed values. Read it after secrets are resolved."""
        return ConnectionSettings.model_validate(self.configure)

    @property
    def names_a_catalog(self) -> bool:
        """Whether tables are found through an Iceberg catalog that is declared, and not by their `base_path`."""
        settings = self.settings
        declared = self.catalog or settings.catalog_type or settings.catalog_properties
        return self.format == "iceberg" and bool(declared)

    @property
    def secrets_resolved(self) -> bool:
        """Whether `configure` holds secrets, no longer their keys."""
        return self._secrets_resolved

    def take_secrets(self, values: Mapping[str, str]) -> None:
        """Put secrets in the place of their keys, also where a key had been lifted from `configure`.

        :attr:`settings` is made anew when it is next read.
        """
        for lifted in {"catalog", "database"} & values.keys():
            if self.__dict__[lifted] == self.configure[lifted]:
                self.__dict__[lifted] = values[lifted]
        self.configure.update(values)
        self.__dict__.pop("settings", None)
        self._secrets_resolved = True

    def with_resolved(self) -> Self:
        """Return a copy whose `configure` can take secrets without touching this declaration."""
        return self.model_copy(update={"configure": dict(self.configure)})

    @field_serializer("catalog", "database")
    def _mask_lifted(self, value: str | None) -> str | None:
        return mask(value) if value else value

    @field_serializer("configure")
    def _mask_dump(self, configure: dict[str, Any]) -> dict[str, Any]:
        return self._masked(configure)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show the fields that are set, credentials masked."""
        for name, value in super().__repr_args__():
            if name in type(self).model_fields and name != "settings":
                yield name, self._masked(value) if name == "configure" else mask_within(value)

    def _masked(self, configure: dict[str, Any]) -> dict[str, Any]:
        references = {field for fields in self.secrets_ref.values() for field in fields}
        hidden = CREDENTIAL_FIELDS | references if self._secrets_resolved else CREDENTIAL_FIELDS - references

        def shown(key: str, value: Any) -> Any:
            if isinstance(value, dict):
                return {inner: shown(inner, item) for inner, item in value.items()}
            hides = key in hidden or key.endswith(_CREDENTIAL_PROPERTIES)
            return MASK if hides and value is not None else mask_within(value)

        return {key: shown(key, value) for key, value in configure.items()}
