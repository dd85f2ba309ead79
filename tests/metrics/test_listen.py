"""An address that cannot be listened on: which, what is in the way, and what to set."""

import socket
import urllib.request

import pytest

from evalspan.metrics import Budgets, ListenError, Metrics, Page, serve


def metrics() -> Metrics:
    return Metrics([], Budgets({}))


def test_an_address_that_is_taken_says_by_what_and_what_to_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError) as caught:
            serve(listen, metrics(), {})
    told = str(caught.value)
    assert f"cannot listen on {listen}: another program listens there" in told
    assert "metrics.listen" in told


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("192.0.2.1:9464", "no network interface"),
        ("no-such-host.invalid:9464", "no address"),
        ("127.0.0.1:99999", "no address"),
    ],
)
def test_an_address_that_is_none_says_so(listen: str, why: str) -> None:
    with pytest.raises(ListenError, match=why) as caught:
        serve(listen, metrics(), {})
    assert listen in str(caught.value)
    assert "metrics.listen" in str(caught.value)


def test_an_address_of_ipv6_is_one() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = serve("[::1]:0", metrics(), {})
    try:
        url = f"http://[::1]:{server.server_port}/healthz"
        assert urllib.request.urlopen(url).read() == b"ok\n"
    finally:
        server.shutdown()
        server.server_close()


def test_the_page_is_in_the_format_that_is_asked_for_and_pages_are_found_below_their_path() -> None:
    server = serve(
        "127.0.0.1:0", metrics(), {"/reports/": lambda p, _q: Page(200, "t", p.encode())}
    )
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        for accept, kind in (
            ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
            ("text/plain", "text/plain"),
        ):
            asked = urllib.request.Request(f"{url}/metrics", headers={"Accept": accept})
            with urllib.request.urlopen(asked) as answer:
                assert answer.headers["Content-Type"].startswith(kind)
                assert answer.read().endswith(b"# EOF\n") == kind.startswith("application")
        for path in ("/reports", "/reports/", "/reports/a/b"):
            assert urllib.request.urlopen(url + path).read() == path.encode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/metrics/more")
    finally:
        server.shutdown()
        server.server_close()
