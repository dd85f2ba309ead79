"""No panel says "No data": every query of the dashboard is run against real servers."""

import pytest
from exposition_double import ExpositionDouble
from otlp_logs import send_log
from panel_queries import DASHBOARD, PanelQuery, empty
from processes import NotReady, wait_for
from servers import Stack

pytestmark = pytest.mark.stack


def test_every_query_of_every_panel_returns_something(stack: Stack) -> None:
    """Against the double of the metrics page; the story asks the real sidecar."""
    loki = stack.loki()
    send_log(loki, "score of json_valid fell")
    node = stack.node_exporter()
    page = stack.exposition(ExpositionDouble())
    prometheus = stack.prometheus({"evalspan": page.url, "node": node.url()})

    def all_answer() -> bool:
        silent = empty(prometheus, loki)
        if silent:
            raise NotReady("\n".join(silent))
        return True

    wait_for(all_answer, "every panel has data")


def test_a_panel_without_data_is_named(stack: Stack) -> None:
    page = stack.exposition(lambda: "# EOF\n")
    prometheus = stack.prometheus({"evalspan": page.url})
    loki = stack.loki()

    silent = "\n".join(empty(prometheus, loki))

    assert "panel 'Pass rate', query A" in silent
    assert "panel 'Report lines', query A" in silent
    assert "variable customer" in silent
    assert "annotation 'Open regressions'" in silent


def test_a_variable_without_a_value_is_named() -> None:
    query = PanelQuery("panel 'X'", "prometheus", 'up{job="$nobody"}', instant=True)
    with pytest.raises(AssertionError, match=r"no value for \$nobody"):
        query.filled({})
    assert DASHBOARD.is_file()
