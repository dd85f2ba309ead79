"""The pages as a browser shows them: no error, nothing wider than the screen, hostile or not.

Screenshots are kept in the folder that EVALSPAN_SCREENSHOTS names, else among pytest's own
temporary files.
"""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from report_hostile import HOSTILE, hostile
from report_samples import FINDING, NOW, REGRESSION, sample

from evalspan.report import page, render, save

SMALLEST_PICTURE = 5_000
SIZES = {"desk": (1100, 900), "phone": (390, 800)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("EVALSPAN_REQUIRE_STACK") == "1":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots are kept."""
    named = os.environ.get("EVALSPAN_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


WIDER = """() => [...document.querySelectorAll("body *")].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && !e.closest("details:not([open])") && box.right > innerWidth + 1;
}).map(e => e.tagName + "." + (e.getAttribute("class") || "") + ": "
    + e.textContent.slice(0, 60))"""


CUT_LABELS = """() => [...document.querySelectorAll("svg text")].filter(text => {
    const label = text.getBoundingClientRect();
    const chart = text.closest("svg").getBoundingClientRect();
    return label.width && (label.right > chart.right + 1 || label.left < chart.left - 1);
}).map(text => "cut: " + text.textContent.slice(0, 60))"""


def look(browser: Browser, text: str, name: str, size: str, scheme: str, kept: Path) -> list[str]:
    """Open a page, keep a picture of it, and return what is wrong with it."""
    file = kept / f"{name}.html"
    file.write_text(text, encoding="utf-8")
    width, height = SIZES[size]
    tab = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    wrong: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text))
    tab.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(file.as_uri())
    for summary in tab.query_selector_all("details:not([open]) > summary"):
        if summary.is_visible():
            summary.click()
    wide = tab.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        wrong.append(f"{wide} pixels wide on a screen of {width}")
    wrong += tab.evaluate(WIDER) + tab.evaluate(CUT_LABELS)
    picture = kept / f"report-{name}-{size}-{scheme}.png"
    tab.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > SMALLEST_PICTURE
    tab.close()
    return wrong + [url for url in asked if url != file.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_report_fits_the_screen(browser: Browser, size: str, scheme: str, kept: Path) -> None:
    long = {"customer": "a customer with a long name", "page kind": "recipe", "model": "large-4.1"}
    causes = [
        FINDING,
        {**FINDING, "rank": 2, "kind": "slice", "slice": json.dumps(long), "share": 0.6},
        {**FINDING, "rank": 3, "kind": "unexplained", "title": "word " * 30, "share": 0.1},
    ]
    text = str(render(sample(findings=causes), "html"))
    assert look(browser, text, "sample", size, scheme, kept) == []
    assert "customer = a customer with a long name" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_index_fits_the_screen(
    browser: Browser, size: str, scheme: str, kept: Path, tmp_path: Path
) -> None:
    states = ("open", "worsening", "recovered", "muted", "resolved")
    for hours, state in enumerate(states):
        row = {**REGRESSION, "id": state, "state": state, "slice": "{}"}
        save(sample(regression=row, now=NOW + timedelta(hours=hours)), tmp_path)
    text = page("", tmp_path)[2].decode()
    assert look(browser, text, "index", size, scheme, kept) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_breaks_no_page(
    browser: Browser, name: str, kept: Path, tmp_path: Path
) -> None:
    report = hostile(HOSTILE[name])
    text = str(render(report, "html"))
    assert look(browser, text, f"hostile-{name}", "phone", "light", kept) == []
    save(report, tmp_path)
    index = page("", tmp_path)[2].decode()
    assert look(browser, index, f"hostile-index-{name}", "phone", "light", kept) == []


def test_the_filter_works_without_a_script(browser: Browser, tmp_path: Path) -> None:
    other = {**REGRESSION, "id": "other", "state": "resolved", "slice": '{"customer": "acme"}'}
    save(sample(), tmp_path)
    save(sample(regression=other), tmp_path)
    with served(tmp_path) as address:
        context = browser.new_context(java_script_enabled=False)
        tab = context.new_page()
        tab.goto(f"{address}/reports/")
        assert tab.locator("table tr:not(.head)").count() == 2
        tab.select_option("select[name=state]", "resolved")
        tab.click("button")
        assert "state=resolved" in tab.url
        assert tab.locator("table tr:not(.head)").count() == 1
        tab.click("table a")
        assert "for customer = acme fell: " in tab.locator("h1").inner_text()
        tab.click("nav a")
        assert tab.url == f"{address}/reports/"
        context.close()


def test_the_policy_lets_no_script_run(browser: Browser, tmp_path: Path) -> None:
    report = sample()
    save(report, tmp_path)
    with served(tmp_path) as address:
        tab = browser.new_page()
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        answer = tab.goto(f"{address}/reports/{report.id}")
        assert answer is not None
        assert "script-src" not in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        tab.evaluate(INJECT)
        tab.wait_for_function("() => true")
        assert tab.evaluate("window.ran") is None
        assert any("Content Security Policy" in line for line in said)
        tab.close()


INJECT = """() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = 1";
    document.body.append(script);
    const image = document.createElement("img");
    image.setAttribute("onerror", "window.ran = 2");
    image.src = "data:,";
    document.body.append(image);
}"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The pages behind an HTTP server, as the sidecar serves them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            below = self.path.removeprefix("/reports/")
            status, kind, content, headers = page(below, folder)
            self.send_response(status)
            for name, value in {**headers, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
