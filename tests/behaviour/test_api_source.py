"""Loads from REST APIs: a real server that pages, refuses, breaks off, asks to wait, and never ends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import polars as pl
import pytest

from tests.api_server import Answer, Api, Asked
from tidegate import create_driver
from tidegate.connections import http
from tidegate.connections.http import HttpClient
from tidegate.errors import PlaceUnavailableError
from tidegate.models import Connection, ReplayConfig
from tidegate.orchestration.stages import UnitPlan
from tidegate.reporting import ErrorReport

pytest.importorskip("httpx2", reason="httpx2 is not installed")


class Shop:
    """A project that loads `orders` from an API."""

    def __init__(self, folder: Path, api: Api) -> None:
        self.folder = folder
        self.api = api
        self.connection: dict[str, Any] = {"base_url": f"{api.url}/v1"}
        self.configure: dict[str, Any] = {"endpoint": "orders", "max_retries": 3}
        self.source: dict[str, Any] = {}
        self.destination: dict[str, Any] = {}
        self.hints: list[dict[str, Any]] = []

    def declare(self, *, watermark: str | None = None, hinted: str | None = None, **configure: Any) -> None:
        self.configure |= configure
        if watermark:
            self.source["watermark_columns"] = [watermark]
        if watermark and hinted:
            self.hint(watermark, hinted)

    def hint(self, column: str, data_type: str) -> None:
        self.hints.append({"column_name": column, "data_type": data_type})

    def load(self) -> ErrorReport | None:
        """Load once; return the error, if there is one."""
        project = {
            "connections": [
                {"name": "shop", "format": "api", "configure": self.connection},
                {"name": "lake", "format": "delta", "configure": {"base_path": "lake"}},
            ],
            "dataflows": [
                {
                    "name": "orders",
                    "source": {"connection_name": "shop", "configure": self.configure, **self.source},
                    "destination": {"connection_name": "lake", "table": "orders", **self.destination},
                    "transform": {"schema_hints": self.hints},
                }
            ],
        }
        (self.folder / "tidegate.json").write_text(json.dumps(project))
        with create_driver(metadata_provider=self.folder) as driver:
            return driver.run().units[0].error

    def loaded(self) -> pl.DataFrame:
        table = pl.read_delta(str(self.folder / "lake/orders"))
        return table.select([column for column in table.columns if not column.startswith("__")])

    def ids(self) -> list[int]:
        return sorted(self.loaded()["id"]) if (self.folder / "lake/orders").exists() else []


@pytest.fixture
def api() -> Iterator[Api]:
    """A server that knows nothing yet."""
    with Api() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A project that loads from the server; it tries again without long pauses."""
    monkeypatch.setattr(http, "_FIRST_PAUSE_SECONDS", 0.001)
    return Shop(tmp_path, api)


def rows(*ids: int) -> list[dict[str, Any]]:
    return [{"id": number, "at": _at(number)} for number in ids]


def _at(number: int) -> str:
    return (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def by_offset(records: list[dict[str, Any]], most: int = 1000) -> Callable[[Asked], Any]:
    """Answer slices of the records, never more than `most` at a time."""

    def answer(asked: Asked) -> Any:
        offset, limit = int(asked.params.get("offset", 0)), int(asked.params.get("limit", 1000))
        return {"total": len(records), "data": records[offset : offset + min(limit, most)]}

    return answer


def by_cursor(pages: list[list[dict[str, Any]]]) -> Callable[[Asked], Any]:
    def answer(asked: Asked) -> Any:
        number = int(asked.params.get("cursor", 0))
        return {"data": pages[number], "next_cursor": str(number + 1) if number + 1 < len(pages) else None}

    return answer


@pytest.mark.supports("sources", "api", "polars", evidence="protocol-tested")
class TestPages:
    """Every record of every page arrives, once."""

    def test_one_answer_is_read_without_paging(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: rows(1, 2, 3)
        assert shop.load() is None
        assert shop.ids() == [1, 2, 3]

    def test_one_object_is_one_record(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: {"id": 7, "at": "now"}
        assert shop.load() is None
        assert shop.ids() == [7]

    def test_offsets_are_followed_to_the_end(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="offset", page_size=3, data_path="data")
        api.answer = by_offset(rows(*range(7)))
        assert shop.load() is None
        assert shop.ids() == list(range(7))

    def test_an_api_that_gives_fewer_than_it_is_asked_for_loses_nothing(self, shop: Shop, api: Api) -> None:
        """A short page is no last page: the API may have a limit of its own."""
        shop.declare(pagination_type="offset", page_size=100, data_path="data")
        api.answer = by_offset(rows(*range(25)), most=10)
        assert shop.load() is None
        assert shop.ids() == list(range(25))

    def test_an_address_past_the_end_may_be_missing(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="offset", page_size=3)
        api.answer = lambda asked: rows(1, 2) if asked.params["offset"] == "0" else Answer(status=404)
        assert shop.load() is None
        assert shop.ids() == [1, 2]

    @pytest.mark.parametrize("most", [1000, 2])
    def test_a_total_is_read_in_parallel_and_in_order(self, shop: Shop, api: Api, most: int) -> None:
        shop.declare(pagination_type="offset", page_size=3, data_path="data", total_path="total", offset_max_workers=3)
        api.answer = by_offset(rows(*range(11)), most=most)
        assert shop.load() is None
        assert shop.loaded()["id"].to_list() == list(range(11))

    def test_a_total_of_nothing_is_nothing(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="offset", data_path="data", total_path="total")
        shop.hint("id", "bigint")
        api.answer = by_offset([])
        assert shop.load() is None
        assert shop.ids() == []

    def test_a_total_that_changes_is_no_load(self, shop: Shop, api: Api) -> None:
        """Rows that go while pages are read move others over the cut."""
        shop.declare(pagination_type="offset", page_size=2, data_path="data", total_path="total", max_retries=0)
        steady = by_offset(rows(*range(6)))
        api.answer = lambda asked: steady(asked) | ({"total": 5} if asked.params["offset"] == "4" else {})
        error = shop.load()
        assert error is not None
        assert error.code == "TG248"
        assert shop.ids() == []

    def test_cursors_are_followed(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="cursor", data_path="data", params={"kind": "sold"})
        api.answer = by_cursor([rows(1, 2), [], rows(3)])
        assert shop.load() is None
        assert shop.ids() == [1, 2, 3]
        assert [asked.params for asked in api.asked][1:] == [
            {"kind": "sold", "cursor": "1"},
            {"kind": "sold", "cursor": "2"},
        ]

    @pytest.mark.parametrize("link", ["/v1/orders?page=2", "?page=2", "{url}/v1/orders?page=2"])
    def test_links_are_followed_however_they_are_written(self, shop: Shop, api: Api, link: str) -> None:
        shop.declare(pagination_type="next_link", data_path="value", next_link_path="@odata.nextLink")
        api.answer = lambda asked: (
            {"value": rows(2)}
            if asked.params.get("page")
            else {"value": rows(1), "@odata.nextLink": link.format(url=api.url)}
        )
        assert shop.load() is None
        assert shop.ids() == [1, 2]

    def test_a_post_keeps_its_body_on_every_page(self, shop: Shop, api: Api) -> None:
        shop.declare(method="POST", body={"q": 1}, pagination_type="cursor", data_path="data")
        api.answer = by_cursor([rows(1), rows(2)])
        assert shop.load() is None
        assert [(asked.method, asked.json) for asked in api.asked] == [("POST", {"q": 1})] * 2

    def test_many_pages_stay_in_order(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="cursor", data_path="data")
        api.answer = by_cursor([rows(number) for number in range(60)])
        assert shop.load() is None
        assert shop.loaded()["id"].to_list() == list(range(60))


class TestNeverFewerRows:
    """What does not end, or is cut off, is an error; the table and the position are as before."""

    def refused(self, shop: Shop) -> ErrorReport:
        error = shop.load()
        assert error is not None
        assert shop.ids() == []
        return error

    def test_a_cursor_that_comes_again(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="cursor", data_path="data")
        api.answer = lambda _: {"data": rows(1), "next_cursor": "same"}
        assert self.refused(shop).code == "TG246"
        assert len(api.asked) == 2

    def test_a_link_that_comes_again(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="next_link", data_path="data")
        api.answer = lambda asked: {"data": rows(1), "next": "?b" if asked.target.endswith("?a") else "?a"}
        assert self.refused(shop).code == "TG246"

    def test_an_api_that_knows_no_offset(self, shop: Shop, api: Api) -> None:
        """It would give the first page again and again, and its rows so often."""
        shop.declare(pagination_type="offset", page_size=2)
        api.answer = lambda _: rows(1, 2)
        error = self.refused(shop)
        assert error.code == "TG246"
        assert "offset_param 'offset'" in str(error.hint)

    @pytest.mark.parametrize("total", [True, False])
    def test_more_pages_than_may_be_read(self, shop: Shop, api: Api, total: bool) -> None:  # noqa: FBT001
        shop.declare(pagination_type="offset", page_size=2, max_pages=3, data_path="data")
        if total:
            shop.declare(total_path="total")
        api.answer = by_offset(rows(*range(7)))
        assert self.refused(shop).code == "TG247"

    def test_exactly_as_many_pages_as_may_be_read(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="offset", page_size=2, max_pages=3, data_path="data")
        api.answer = by_offset(rows(*range(6)))
        assert shop.load() is None
        assert shop.ids() == list(range(6))

    def test_empty_pages_without_end(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="cursor", data_path="data", max_pages=5)
        api.answer = lambda asked: {"data": [], "next_cursor": int(asked.params.get("cursor", 0)) + 1}
        assert self.refused(shop).code == "TG246"

    def test_a_misspelled_path_to_the_next_page(self, shop: Shop, api: Api) -> None:
        """The first page alone would look like all there is."""
        shop.declare(pagination_type="next_link", data_path="data")
        api.answer = lambda _: {"data": rows(1), "links": {"next": "/v1/orders?page=2"}}
        error = self.refused(shop)
        assert error.code == "TG245"
        assert error.hint == "did you mean next_link_path: links.next?"

    def test_records_elsewhere_than_declared(self, shop: Shop, api: Api) -> None:
        shop.declare(data_path="rows")
        api.answer = lambda _: {"items": rows(1), "count": 1}
        error = self.refused(shop)
        assert error.code == "TG245"
        assert str(error.hint).startswith("did you mean data_path: items?")

    def test_a_total_that_counts_pages(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="offset", page_size=5, data_path="data", total_path="pages")
        api.answer = lambda asked: {"pages": 2, **by_offset(rows(*range(10)))(asked)}
        assert self.refused(shop).code == "TG245"

    def test_the_last_page_fails_and_nothing_is_loaded(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="cursor", data_path="data", max_retries=0)
        pages = by_cursor([rows(1), rows(2), rows(3)])
        api.answer = lambda asked: Answer(status=500) if asked.params.get("cursor") == "2" else pages(asked)
        assert self.refused(shop).code == "TG242"
        api.answer = pages
        assert shop.load() is None
        assert shop.ids() == [1, 2, 3]


class TestFaults:
    """What may pass is tried again; what will not is told at once."""

    @pytest.mark.parametrize(
        "fault",
        [
            Answer(status=503),
            Answer(status=429, headers={"Retry-After": "0"}),
            Answer(body=rows(1, 2, 3), breaks_after=20),
            Answer(body=rows(1, 2, 3), breaks_after=0),
        ],
        ids=["unavailable", "too many", "broken in the middle", "no body"],
    )
    def test_a_fault_that_passes_costs_no_row(self, shop: Shop, api: Api, fault: Answer) -> None:
        shop.declare(pagination_type="offset", page_size=2, data_path="data")
        api.answer = by_offset(rows(1, 2, 3))
        api.faults.extend([fault, fault])
        assert shop.load() is None
        assert shop.ids() == [1, 2, 3]

    def test_a_storm_of_refusals_holds_all_workers(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="offset", page_size=2, data_path="data", total_path="total", max_retries=10)
        api.answer = by_offset(rows(*range(12)))
        api.faults.extend([Answer(status=429, headers={"Retry-After": "0.05"})] * 6)
        assert shop.load() is None
        assert shop.ids() == list(range(12))

    def test_an_answer_that_takes_too_long_is_asked_for_again(self, shop: Shop, api: Api) -> None:
        shop.connection["timeout"] = 0.3
        api.answer = lambda _: rows(1)
        api.faults.append(Answer(body=rows(2), waits=0.6))
        assert shop.load() is None
        assert shop.ids() == [1]

    def test_an_api_that_stays_away_may_be_tried_later(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: Answer(status=502, body=b"bad gateway\nmore")
        error = shop.load()
        assert error is not None
        assert error.code == "TG242"
        assert "502 Bad Gateway: bad gateway" in error.message
        assert len(api.asked) == 4

    def test_what_may_pass_says_so(self, shop: Shop, api: Api) -> None:
        """The run may be tried again as a whole."""
        api.answer = lambda _: Answer(status=429, headers={"Retry-After": "86400"})
        connection = Connection(name="shop", format="api", configure=shop.connection)
        with HttpClient(connection) as client, pytest.raises(PlaceUnavailableError) as caught:
            client.fetch(client.call("orders"))
        assert caught.value.transient

    def test_a_wait_ends_when_the_rows_are_no_longer_wanted(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: Answer(status=429, headers={"Retry-After": "200"})

        def check() -> None:
            if api.asked:
                raise KeyboardInterrupt

        connection = Connection(name="shop", format="api", configure=shop.connection)
        with HttpClient(connection, check=check) as client, pytest.raises(KeyboardInterrupt):
            client.fetch(client.call("orders"))

    @pytest.mark.parametrize("form", ["number", "date"])
    def test_the_time_that_the_api_asks_for_is_waited(self, shop: Shop, api: Api, form: str) -> None:
        api.answer = lambda _: rows(1)
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        api.faults.append(Answer(status=429, headers={"Retry-After": "1" if form == "number" else later}))
        assert shop.load() is None
        first, second = (asked.at for asked in api.asked)
        assert second - first >= (1 if form == "number" else 0.5)

    def test_a_wait_that_is_too_long_is_left_to_the_next_run(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: Answer(status=429, headers={"Retry-After": "86400"})
        error = shop.load()
        assert error is not None
        assert error.code == "TG242"
        assert len(api.asked) == 1

    def test_a_refusal_is_told_at_once_and_without_secrets(self, shop: Shop, api: Api) -> None:
        shop.connection |= {"auth_type": "bearer", "auth_token": "token-that-nobody-sees"}
        shop.declare(params={"key": "hidden-in-the-query"})
        api.answer = lambda _: Answer(status=403, body=b"token-that-nobody-sees may not read\nmore")
        error = shop.load()
        assert error is not None
        assert error.code == "TG241"
        assert "403 Forbidden: *** may not read" in error.message
        assert error.where == f"GET {api.url}/v1/orders"
        assert "hidden" not in error.message
        assert len(api.asked) == 1

    def test_a_web_page_is_no_answer(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: Answer(body=b"<html>\nSign in</html>")
        error = shop.load()
        assert error is not None
        assert error.code == "TG244"

    def test_requests_keep_their_distance_over_all_workers(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="offset", page_size=1, data_path="data", total_path="total", rate_limit_delay=0.05)
        api.answer = by_offset(rows(*range(6)))
        assert shop.load() is None
        times = sorted(asked.at for asked in api.asked)
        assert times[-1] - times[0] >= 5 * 0.05 - 0.03


class TestWhoAsks:
    """Credentials reach the API, and nobody else."""

    def asked(self, shop: Shop, api: Api) -> Asked:
        api.answer = lambda _: rows(1)
        assert shop.load() is None
        return api.asked[-1]

    def test_a_bearer_token(self, shop: Shop, api: Api) -> None:
        shop.connection |= {"auth_type": "bearer", "auth_token": "t0"}
        assert self.asked(shop, api).headers["authorization"] == "Bearer t0"

    def test_a_password(self, shop: Shop, api: Api) -> None:
        shop.connection |= {"auth_type": "basic", "username": "ann", "password": "p:w"}
        assert self.asked(shop, api).headers["authorization"] == "Basic " + base64.b64encode(b"ann:p:w").decode()

    def test_a_key_in_a_header_and_headers_of_ones_own(self, shop: Shop, api: Api) -> None:
        shop.connection |= {
            "auth_type": "api_key",
            "api_key_header": "X-Key",
            "api_key_value": "k0",
            "default_headers": {"X-Shop": 5},
        }
        headers = self.asked(shop, api).headers
        assert (headers["x-key"], headers["x-shop"]) == ("k0", "5")

    @pytest.mark.parametrize("auth_type", ["bearer", "basic", "api_key", "oauth2_client_credentials", "aws_sigv4"])
    def test_a_missing_credential_is_named(self, shop: Shop, auth_type: str) -> None:
        shop.connection["auth_type"] = auth_type
        error = shop.load()
        assert error is not None
        assert error.code == "TG240"
        assert auth_type in error.message
        assert not shop.api.asked

    @pytest.mark.parametrize("way", ["link", "redirect"])
    def test_another_host_gets_no_credentials(self, shop: Shop, api: Api, way: str) -> None:
        """Neither the token nor a header of one's own, which may hold a key."""
        shop.connection |= {"auth_type": "bearer", "auth_token": "t0", "default_headers": {"X-Key": "k0"}}
        shop.declare(pagination_type="next_link", data_path="data")
        with Api(answer=lambda _: {"data": rows(2)}) as other:
            elsewhere = f"{other.url}/v1/orders?page=2"
            here: dict[str, Any] = {"data": rows(1), "next": elsewhere if way == "link" else "?page=2"}
            moved = Answer(status=302, headers={"Location": elsewhere})
            api.answer = lambda asked: moved if asked.params.get("page") else here
            assert shop.load() is None
            assert shop.ids() == [1, 2]
            assert not {"authorization", "x-key"} & other.asked[0].headers.keys()
        assert {"authorization", "x-key"} <= api.asked[0].headers.keys()

    def test_redirects_without_end(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: Answer(status=302, headers={"Location": "/v1/orders"})
        error = shop.load()
        assert error is not None
        assert error.code == "TG241"


class Tokens:
    """An API that takes tokens of its own token server, each for a number of requests."""

    def __init__(self, answer: Callable[[Asked], Any], *, lasts: object = 3600, uses: int = 1000) -> None:
        self.answer, self.lasts, self.uses = answer, lasts, uses
        self.given: list[Asked] = []
        self.left = 0

    def __call__(self, asked: Asked) -> Any:
        if asked.path == "/token":
            self.given.append(asked)
            self.left = self.uses
            return {"access_token": f"t{len(self.given)}", "token_type": "Bearer", "expires_in": self.lasts}
        self.left -= 1
        if asked.headers.get("authorization") != f"Bearer t{len(self.given)}" or self.left < 0:
            return Answer(status=401)
        return self.answer(asked)


class TestClientCredentials:
    """OAuth 2: a token from a token server."""

    @pytest.fixture
    def client(self, shop: Shop, api: Api) -> Shop:
        shop.connection |= {
            "auth_type": "oauth2_client_credentials",
            "token_url": f"{api.url}/token",
            "client_id": "me",
            "client_secret": "s/cret",
            "scope": "read all",
        }
        shop.declare(pagination_type="cursor", data_path="data")
        return shop

    PAGES = staticmethod(by_cursor([rows(number) for number in range(4)]))

    def test_one_token_serves_all_requests(self, client: Shop, api: Api) -> None:
        api.answer = tokens = Tokens(self.PAGES)
        assert client.load() is None
        assert client.ids() == [0, 1, 2, 3]
        (asked,) = tokens.given
        assert {name: value[0] for name, value in parse_qs(asked.body.decode()).items()} == {
            "grant_type": "client_credentials",
            "client_id": "me",
            "client_secret": "s/cret",
            "scope": "read all",
        }

    def test_the_secret_may_be_in_a_header_and_the_rest_json(self, client: Shop, api: Api) -> None:
        client.connection |= {
            "token_auth_method": "client_secret_basic",
            "token_request_body_format": "json",
            "token_request_extras": {"audience": "shop"},
        }
        api.answer = tokens = Tokens(self.PAGES)
        assert client.load() is None
        (asked,) = tokens.given
        assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"me:s%2Fcret").decode()
        assert asked.json == {"grant_type": "client_credentials", "scope": "read all", "audience": "shop"}

    def test_a_token_that_ends_is_renewed_before(self, client: Shop, api: Api) -> None:
        api.answer = tokens = Tokens(self.PAGES, lasts=0)
        assert client.load() is None
        assert len(tokens.given) == 4

    def test_a_token_that_is_refused_is_renewed_once(self, client: Shop, api: Api) -> None:
        api.answer = tokens = Tokens(self.PAGES, lasts=None, uses=2)
        assert client.load() is None
        assert client.ids() == [0, 1, 2, 3]
        assert len(tokens.given) == 2

    def test_a_new_token_that_is_refused_too_is_an_error(self, client: Shop, api: Api) -> None:
        api.answer = tokens = Tokens(self.PAGES, uses=0)
        error = client.load()
        assert error is not None
        assert error.code == "TG241"
        assert len(tokens.given) == 2

    def test_a_token_server_that_gives_none(self, client: Shop, api: Api) -> None:
        api.answer = lambda _: Answer(status=401, body={"error": "invalid_client"})
        error = client.load()
        assert error is not None
        assert error.code == "TG243"
        assert "invalid_client" in error.message


class TestSignatures:
    """AWS Signature Version 4, checked as AWS does."""

    SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

    def signature(self, method: str, target: str, headers: dict[str, str], body: bytes, scope: str) -> str:
        """Return the signature that a request with these headers must have (AWS, "Signature Version 4 signing")."""
        parts = urlsplit(target)
        pairs = sorted((quote(unquote(n), safe="-_.~"), quote(unquote(v), safe="-_.~")) for n, _, v in
                       (pair.partition("=") for pair in parts.query.split("&") if pair))  # fmt: skip
        canonical = "\n".join([
            method, quote(parts.path, safe="/-_.~"), "&".join(f"{n}={v}" for n, v in pairs),
            *(f"{name}:{headers[name].strip()}" for name in sorted(headers)), "",
            ";".join(sorted(headers)), hashlib.sha256(body).hexdigest(),
        ])  # fmt: skip
        moment = headers["x-amz-date"]
        scope = f"{moment[:8]}/{scope}/aws4_request"
        told = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.SECRET}".encode()
        for part in (*scope.split("/"), told):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key.hex()

    @pytest.mark.parametrize(
        ("target", "signature"),
        [
            ("/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ],
        ids=["get-vanilla", "get-vanilla-query-order-key-case"],
    )
    def test_the_check_agrees_with_the_vectors_that_aws_publishes(self, target: str, signature: str) -> None:
        headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
        assert self.signature("GET", target, headers, b"", "us-east-1/service") == signature

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("session_token", [None, "session"])
    def test_every_request_is_signed(self, shop: Shop, api: Api, method: str, session_token: str | None) -> None:
        pytest.importorskip("botocore", reason="botocore is not installed")
        shop.connection |= {
            "auth_type": "aws_sigv4",
            "aws_region": "eu-west-1",
            "aws_service": "execute-api",
            "aws_access_key_id": "AKIDEXAMPLE",
            "aws_secret_access_key": self.SECRET,
            **({"aws_session_token": session_token} if session_token else {}),
        }
        shop.declare(method=method, params={"b": "ä +/~", "a": ["2", "1"]}, endpoint="orders/of day")
        shop.declare(**({"body": {"q": "ü"}} if method == "POST" else {}))

        def answer(asked: Asked) -> Any:
            scheme, _, rest = asked.headers["authorization"].partition(" ")
            about = dict(part.split("=", 1) for part in rest.split(", "))
            signed = {name: asked.headers[name] for name in about["SignedHeaders"].split(";")}
            right = self.signature(asked.method, asked.target, signed, asked.body, "eu-west-1/execute-api")
            assert ("x-amz-security-token" in signed) == bool(session_token)
            return rows(1) if (scheme, about["Signature"]) == ("AWS4-HMAC-SHA256", right) else Answer(status=403)

        api.answer = answer
        assert shop.load() is None


class TestIncrements:
    """What is new is asked for, and loaded once."""

    def since(self, records: list[dict[str, Any]]) -> Callable[[Asked], Any]:
        """Answer the records from `since` on."""
        return lambda asked: [
            row for row in records if row["at"] >= asked.params.get("since", "").replace("+00:00", "Z")
        ]

    @pytest.mark.parametrize("hinted", ["timestamp", None])
    def test_ties_are_neither_lost_nor_doubled(self, shop: Shop, api: Api, hinted: str | None) -> None:
        shop.declare(watermark="at", hinted=hinted, watermark_param_mapping={"at": "since"})
        records = rows(1, 2, 3)
        api.answer = self.since(records)
        assert shop.load() is None
        records += [{"id": 4, "at": _at(3)}, *rows(5)]
        assert shop.load() is None
        assert shop.load() is None
        assert shop.ids() == [1, 2, 3, 4, 5]
        since = api.asked[1].params["since"]
        assert datetime.fromisoformat(since) == datetime.fromisoformat(_at(3))

    def test_nothing_new_is_no_error(self, shop: Shop, api: Api) -> None:
        shop.declare(watermark="at", hinted="timestamp", watermark_param_mapping={"at": "since"})
        api.answer = self.since(rows(1))
        assert shop.load() is None
        api.answer = lambda _: []
        assert shop.load() is None
        assert shop.ids() == [1]

    def test_a_number_is_asked_for_as_it_is(self, shop: Shop, api: Api) -> None:
        shop.declare(watermark="id", watermark_param_mapping={"id": "after"})
        api.answer = lambda asked: rows(*range(int(asked.params.get("after", 0)), 5))
        assert shop.load() is None
        assert shop.load() is None
        assert shop.ids() == [0, 1, 2, 3, 4]
        assert api.asked[-1].params == {"after": "4"}

    def test_the_body_may_hold_the_bounds(self, shop: Shop, api: Api) -> None:
        shop.declare(watermark="at", hinted="timestamp", watermark_param_mapping={"at": "since"}, method="POST")
        shop.declare(body={"q": 1}, watermark_param_location="body", watermark_param_format="timestamp")
        api.answer = lambda _: rows(1)
        assert shop.load() is None
        assert shop.load() is None
        moment = int(datetime.fromisoformat(_at(1)).timestamp())
        assert [asked.json for asked in api.asked] == [{"q": 1}, {"q": 1, "since": moment}]

    def test_two_columns_cannot_both_be_asked_for(self, shop: Shop) -> None:
        """A row that one of them shows as new would be left out by the other."""
        shop.source["watermark_columns"] = ["at", "created"]
        shop.declare(watermark_param_mapping={"at": "since", "created": "from"})
        error = shop.load()
        assert error is not None
        assert error.code == "TG250"


class TestRanges:
    """A long range is read in several calls, at the same time, and arrives in order."""

    RECORDS = rows(*range(0, 24 * 40, 5))

    def between(self, *, includes_end: bool, asked_for: list[tuple[str, str]]) -> Callable[[Asked], Any]:
        def answer(asked: Asked) -> Any:
            lower, upper = (datetime.fromisoformat(asked.params[name]) for name in ("from", "to"))
            asked_for.append((asked.params["from"], asked.params["to"]))
            found = [
                row
                for row in self.RECORDS
                if lower <= datetime.fromisoformat(row["at"]) < upper
                or (includes_end and datetime.fromisoformat(row["at"]) == upper)
            ]
            offset, limit = int(asked.params["offset"]), int(asked.params["limit"])
            return found[offset : offset + limit]

        return answer

    @pytest.fixture
    def ranged(self, shop: Shop) -> Shop:
        shop.declare(watermark="at", hinted="timestamp", pagination_type="offset", page_size=7)
        shop.declare(
            watermark_param_mapping={"at": "from"},
            watermark_to_param="to",
            watermark_range_interval_unit="month",
            watermark_range_start="2024-01-01",
        )
        return shop

    @pytest.mark.parametrize("includes_end", [True, False])
    @pytest.mark.parametrize("unit", ["day", "month"])
    def test_every_row_arrives_once_whether_ranges_hold_their_end_or_not(
        self,
        ranged: Shop,
        api: Api,
        unit: str,
        includes_end: bool,  # noqa: FBT001
    ) -> None:
        ranged.declare(watermark_range_interval_unit=unit, watermark_range_interval_amount=15 if unit == "day" else 1)
        asked_for: list[tuple[str, str]] = []
        api.answer = self.between(includes_end=includes_end, asked_for=asked_for)
        assert ranged.load() is None
        assert ranged.loaded()["id"].to_list() == [row["id"] for row in self.RECORDS]
        ranges = sorted(set(asked_for))
        assert ranges[0][0] == "2024-01-01T00:00:00+00:00"
        assert all(one[1] == other[0] for one, other in pairwise(ranges))

    @pytest.mark.parametrize("includes_end", [True, False])
    def test_days_that_belong_to_two_ranges_arrive_once(self, ranged: Shop, api: Api, *, includes_end: bool) -> None:
        """A range up to a day may hold all of that day."""
        ranged.declare(watermark_param_format="date", watermark_range_interval_unit="day", page_size=1000)
        ranged.declare(watermark_range_interval_amount=10, pagination_type=None)

        def answer(asked: Asked) -> Any:
            lower, upper = asked.params["from"], asked.params["to"]
            return [
                row
                for row in self.RECORDS
                if lower <= row["at"][:10] < upper or (includes_end and row["at"][:10] == upper)
            ]

        api.answer = answer
        assert ranged.load() is None
        assert ranged.loaded()["id"].to_list() == [row["id"] for row in self.RECORDS]

    def test_an_end_that_is_held_can_be_moved(self, ranged: Shop, api: Api) -> None:
        ranged.declare(watermark_range_to_exclusive_offset="1s")
        asked_for: list[tuple[str, str]] = []
        api.answer = self.between(includes_end=True, asked_for=asked_for)
        assert ranged.load() is None
        assert ranged.ids() == [row["id"] for row in self.RECORDS]
        assert min(asked_for) == ("2024-01-01T00:00:00+00:00", "2024-01-31T23:59:59+00:00")

    def test_a_replay_reads_its_window_in_ranges(self, ranged: Shop, api: Api) -> None:
        asked_for: list[tuple[str, str]] = []
        api.answer = self.between(includes_end=False, asked_for=asked_for)
        ranged.destination = {"load_type": "merge_upsert", "merge_keys": ["id"]}
        ranged.configure["watermark_range_interval_unit"] = "day"
        assert ranged.load() is None
        asked_for.clear()
        with create_driver(metadata_provider=ranged.folder) as driver:
            result = driver.run_replay(names=["orders"], replay=ReplayConfig(start="2024-01-03", end="2024-01-05"))
        assert result.failed == 0
        assert sorted({lower for lower, _ in asked_for}) == ["2024-01-03T00:00:00+00:00", "2024-01-04T00:00:00+00:00"]

    def test_a_range_that_fails_loads_nothing(self, ranged: Shop, api: Api) -> None:
        answer = self.between(includes_end=False, asked_for=[])
        api.answer = lambda asked: Answer(status=400) if asked.params["from"].startswith("2024-02") else answer(asked)
        error = ranged.load()
        assert error is not None
        assert error.code == "TG241"
        assert ranged.ids() == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"watermark_to_param": None},
            {"watermark_range_interval_unit": "hour", "watermark_param_format": "date"},
            {"watermark_range_to_exclusive_offset": "a bit"},
            {"watermark_range_start": "soon"},
        ],
        ids=",".join,
    )
    def test_what_contradicts_itself_is_refused_before_the_first_request(self, ranged: Shop, wrong: Any) -> None:
        ranged.declare(**wrong)
        error = ranged.load()
        assert error is not None
        assert error.code == "TG250"
        assert not ranged.api.asked


class TestValues:
    """Values arrive as they were sent; nothing is dropped in silence."""

    def test_a_column_that_comes_late_is_loaded(self, shop: Shop, api: Api) -> None:
        shop.declare(pagination_type="cursor", data_path="data")
        api.answer = by_cursor([rows(1), rows(2), [{"id": 3, "note": {"text": "late"}}]])
        assert shop.load() is None
        assert shop.loaded()["note"].to_list() == [None, None, {"text": "late"}]

    def test_a_column_that_comes_in_a_later_load_is_loaded(self, shop: Shop, api: Api) -> None:
        shop.declare(watermark="id")
        api.answer = lambda _: [{"id": 1, "a": {"x": 1}}]
        assert shop.load() is None
        api.answer = lambda _: [{"id": 2, "a": {"x": 2, "y": "new"}, "b": [1]}, {"id": 3}]
        assert shop.load() is None
        loaded = shop.loaded().sort("id")
        assert loaded["a"].to_list() == [{"x": 1, "y": None}, {"x": 2, "y": "new"}, None]
        assert loaded["b"].to_list() == [None, [1], None]

    def test_types_are_those_of_json_lines(self, shop: Shop, api: Api) -> None:
        record = {
            "id": 1,
            "big": 2**63,
            "price": 1.5,
            "paid": True,
            "at": "2024-01-01T00:00:00Z",
            "nested": {"a": [1, 2], "b": None},
            "mixed": "x",
            "nothing": None,
        }
        other = {**record, "id": 2, "big": 1, "price": 2, "mixed": {"a": 1.5}}
        api.answer = lambda _: [record, other]
        (shop.folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in (record, other)))
        assert shop.load() is None
        lines = pl.read_ndjson(shop.folder / "rows.jsonl")
        loaded = shop.loaded()
        same = [name for name in lines.columns if name not in {"big", "nested", "nothing"}]
        assert loaded.select(same).equals(lines.select(same))
        assert loaded["big"].to_list() == [2**63, 1]
        assert loaded["nested"].to_list() == [{"a": [1, 2], "b": None}] * 2
        assert loaded["nothing"].to_list() == [None, None]

    def test_decimals_keep_every_digit(self, shop: Shop, api: Api) -> None:
        shop.hint("amount", "decimal(38,20)")
        shop.hint("code", "string")
        body = b'[{"id": 1, "amount": 0.12345678901234567891, "code": 1.50, "part": 0.5}, {"id": 2, "amount": 3}]'
        api.answer = lambda _: Answer(body=body)
        assert shop.load() is None
        loaded = shop.loaded()
        assert [str(value) for value in loaded["amount"]] == ["0.12345678901234567891", "3.00000000000000000000"]
        assert loaded["code"].to_list() == ["1.50", None]
        assert loaded["part"].to_list() == [0.5, None]

    @pytest.mark.parametrize(
        ("first", "second"),
        [(1, "x"), (1, 1.5), (True, 5), (1.5, 2**53 + 1), ({"a": 1}, 5), (1, 2**70)],
        ids=str,
    )
    def test_a_value_of_another_type_than_before_is_named(self, shop: Shop, api: Api, first: Any, second: Any) -> None:
        shop.declare(watermark="id")
        api.answer = lambda _: [{"id": 1, "value": first}]
        assert shop.load() is None
        api.answer = lambda _: [{"id": 2, "value": second}]
        error = shop.load()
        assert error is not None
        assert error.code == "TG249"
        assert "'value'" in error.message
        assert "schema_hints" in str(error.hint)
        assert shop.ids() == [1]

    def test_types_that_have_nothing_in_common_are_named(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: [{"id": 1, "value": True}, {"id": 2, "value": 5}]
        error = shop.load()
        assert error is not None
        assert error.code == "TG249"

    def test_columns_that_are_declared_and_never_sent_are_null(self, shop: Shop, api: Api) -> None:
        shop.hint("note", "string")
        shop.hint("sold_at", "timestamp")
        api.answer = lambda _: rows(1)
        assert shop.load() is None
        assert shop.loaded().select("note", "sold_at").row(0) == (None, None)

    def test_no_records_and_nothing_known_is_an_error(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: []
        error = shop.load()
        assert error is not None
        assert error.code == "TG251"

    def test_many_records_go_through_a_file_of_the_run(
        self, shop: Shop, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not through one of the system's, whose folder may be memory."""
        monkeypatch.setattr("tidegate.sources.spool._IN_MEMORY_BYTES", 1000)
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
        shop.declare(pagination_type="offset", page_size=100, data_path="data")
        api.answer = by_offset([{**row, "text": "x" * 100} for row in rows(*range(1000))])
        assert shop.load() is None
        assert shop.ids() == list(range(1000))

    def test_a_plan_says_that_all_rows_are_kept_first(self, shop: Shop, api: Api) -> None:
        api.answer = lambda _: rows(1)
        assert shop.load() is None
        with create_driver(metadata_provider=shop.folder) as driver:
            ((_, plan),) = driver.plan()
        assert isinstance(plan, UnitPlan)
        assert plan.notes[-1] == "keeps all rows on disk first"
