"""The built web interface at /, /docs and /assets, and what is there in its place if it was not built."""

import gzip

import pytest

PATHS = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/assets/index-A1.js": ("assets/index-A1.js", "text/javascript; charset=utf-8"),
    "/assets/style-B2.css": ("assets/style-B2.css", "text/css; charset=utf-8"),
    "/assets/icon-C3.svg": ("assets/icon-C3.svg", "image/svg+xml"),
}
UNKNOWN_PATHS = [
    "/assets/", "/assets/index-A1.js.gz", "/assets/index-A1.js/", "/assets/index.html", "/assets/../index.html",
    "/assets/%2e%2e/index.html", "/assets/..%2findex.html", "/assets/..", "/assets/index-A1.js%00",
    "/assets/INDEX-A1.js", "/assets//index-A1.js", "/index.html", "/docs.html", "/docs/", "/static/index.html",
]  # fmt: skip


@pytest.fixture
def client(web_folder, make_service):
    return make_service().client


@pytest.mark.parametrize("path", PATHS)
def test_file_is_served_with_its_type(client, web_folder, path):
    name, content_type = PATHS[path]
    response = client.get(path)
    assert (response.status_code, response.content_type) == (200, content_type)
    assert response.get_data() == (web_folder / name).read_bytes()
    assert "Content-Encoding" not in response.headers
    head = client.head(path)
    assert (head.get_data(), head.headers["Content-Length"]) == (b"", response.headers["Content-Length"])


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [("gzip, deflate, br", True), ("gzip;q=0.5", True), ("*", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_file_is_compressed_for_clients_that_accept_it(client, web_folder, accepted, is_compressed):
    for path, (name, _) in PATHS.items():
        response = client.get(path, headers={"Accept-Encoding": accepted})
        assert (response.headers.get("Content-Encoding") == "gzip") is is_compressed
        assert "Accept-Encoding" in response.headers["Vary"]
        body = response.get_data()
        assert (gzip.decompress(body) if is_compressed else body) == (web_folder / name).read_bytes()
        assert int(response.headers["Content-Length"]) == len(body)


def test_browser_keeps_assets_and_revalidates_pages(client):
    for path in PATHS:
        response = client.get(path)
        cached = "public, max-age=31536000, immutable" if "/assets/" in path else "no-cache"
        assert response.headers["Cache-Control"] == cached
        again = client.get(path, headers={"If-None-Match": response.headers["ETag"], "Accept-Encoding": "gzip"})
        assert (again.status_code, again.get_data()) == (304, b"")
        assert again.headers["Cache-Control"] == cached
        assert client.get(path, headers={"If-None-Match": 'W/"other"'}).status_code == 200


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_unknown_path_is_404_in_json(client, path):
    response = client.get(path)
    assert (response.status_code, response.get_json()["error"]) == (404, "There is nothing at this path")


def test_page_and_assets_stay_those_of_one_build_until_a_restart(web_folder, make_service):
    service = make_service()
    before = service.client.get("/").get_data()
    for file in [*(web_folder / "assets").iterdir(), web_folder / "index.html"]:
        file.unlink()
    assert service.client.get("/").get_data() == before
    assert service.client.get("/assets/index-A1.js").status_code == 200


@pytest.mark.parametrize("missing", ["index.html", "docs.html.gz", "assets/index-A1.js.gz"])
def test_incomplete_build_is_not_served(web_folder, make_service, missing):
    (web_folder / missing).unlink()
    client = make_service().client
    assert "No miners yet" in client.get("/").get_data(as_text=True)
    assert client.get("/assets/style-B2.css").status_code == 404


def test_without_build_there_is_a_plain_table_and_docs_says_why(make_service):
    client = make_service().client
    assert "No miners yet" in client.get("/").get_data(as_text=True)
    response = client.get("/docs")
    assert response.status_code == 404
    assert response.get_json()["message"].startswith("The web interface is not built: run `make`")
    assert client.get("/assets/index-A1.js").status_code == 404
