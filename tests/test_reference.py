import gzip
import re

import falcon.asgi
import falcon.testing
import pytest

from api.openapi import reference

SCRIPT = "/static/vendor/scalar-api-reference-1.72.1/standalone.js"


@pytest.fixture(scope="module")
def client() -> falcon.testing.TestClient:
    app: falcon.asgi.App = falcon.asgi.App()
    reference.add_routes(app)
    return falcon.testing.TestClient(app)


def test_page_names_only_files_that_are_served(client: falcon.testing.TestClient) -> None:
    page = client.simulate_get("/api/reference")

    sources = re.findall(r'src="([^"]+)"', page.text)
    assert SCRIPT in sources
    assert [client.simulate_head(source).status_code for source in sources] == [200, 200]


def test_page_allows_neither_inline_scripts_nor_other_hosts(
    client: falcon.testing.TestClient,
) -> None:
    page = client.simulate_get("/api/reference")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "connect-src 'self';" in policy
    assert "<script>" not in page.text


def test_script_is_sent_compressed_to_who_takes_gzip(client: falcon.testing.TestClient) -> None:
    plain = client.simulate_get(SCRIPT)
    compressed = client.simulate_get(SCRIPT, headers={"Accept-Encoding": "br, gzip"})

    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(compressed.content) == plain.content


@pytest.mark.parametrize("header", ["gzip;q=0", "br, gzip; q=0.000, deflate", "xgzip", "identity"])
def test_script_is_sent_plain_to_who_refuses_gzip(
    client: falcon.testing.TestClient, header: str
) -> None:
    answer = client.simulate_head(SCRIPT, headers={"Accept-Encoding": header})

    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}])
@pytest.mark.parametrize("path", ["/api/reference", "/static/reference.js", SCRIPT])
def test_head_says_what_get_would_send(
    client: falcon.testing.TestClient, path: str, headers: dict[str, str]
) -> None:
    head = client.simulate_head(path, headers=headers)

    assert head.content == b""
    assert head.headers == client.simulate_get(path, headers=headers).headers


def test_known_etag_is_answered_without_the_file(client: falcon.testing.TestClient) -> None:
    etag = client.simulate_head(SCRIPT).headers["etag"]

    answer = client.simulate_get(SCRIPT, headers={"If-None-Match": f'"other", {etag}'})

    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == etag


def test_only_an_address_with_a_version_is_cached_for_good(
    client: falcon.testing.TestClient,
) -> None:
    assert "immutable" in client.simulate_head(SCRIPT).headers["cache-control"]
    assert client.simulate_head("/static/reference.js").headers["cache-control"] == "no-cache"
    assert client.simulate_head("/api/reference").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/vendor/vendor.lock.json",
        "/static/../reference.py",
        "/static/%2e%2e/reference.py",
        "/static/vendor/../reference.js",
        f"{SCRIPT}.gz",
    ],
)
def test_nothing_but_the_table_is_served(client: falcon.testing.TestClient, path: str) -> None:
    assert client.simulate_get(path).status_code == 404
