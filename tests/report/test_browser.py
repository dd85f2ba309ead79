"""The pages as a browser shows them: no error, nothing wider than the screen, hostile or not.

Screenshots are kept in the folder that EVALSPAN_SCREENSHOTS names, if it is set.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from report_hostile import HOSTILE, hostile
from report_samples import sample

from evalspan.report import page, render, save

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


def look(browser: Browser, text: str, name: str, size: str, scheme: str, folder: Path) -> list[str]:
    """Open a page and return what is wrong with it."""
    file = folder / f"{name}.html"
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
    kept = os.environ.get("EVALSPAN_SCREENSHOTS")
    if kept:
        tab.screenshot(path=Path(kept) / f"report-{name}-{size}-{scheme}.png", full_page=True)
    tab.close()
    return wrong + [url for url in asked if url != file.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_report_fits_the_screen(
    browser: Browser, size: str, scheme: str, tmp_path: Path
) -> None:
    text = str(render(sample(), "html"))
    assert look(browser, text, "sample", size, scheme, tmp_path) == []


@pytest.mark.parametrize("size", SIZES)
def test_the_index_fits_the_screen(browser: Browser, size: str, tmp_path: Path) -> None:
    save(sample(), tmp_path / "data")
    text = page("", tmp_path / "data")[2].decode()
    assert look(browser, text, "index", size, "light", tmp_path) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_breaks_no_page(browser: Browser, name: str, tmp_path: Path) -> None:
    report = hostile(HOSTILE[name])
    text = str(render(report, "html"))
    assert look(browser, text, f"hostile-{name}", "phone", "light", tmp_path) == []
    save(report, tmp_path / "data")
    index = page("", tmp_path / "data")[2].decode()
    assert look(browser, index, f"hostile-index-{name}", "phone", "light", tmp_path) == []
