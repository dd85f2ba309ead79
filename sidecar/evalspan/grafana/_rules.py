"""Recording and alert rules as one YAML file for Prometheus."""

from collections.abc import Iterator
from typing import Any

import yaml

from evalspan.grafana._burn import burn_rates, recordings
from evalspan.grafana._counted import counted_within
from evalspan.grafana._ledger import evaluations, spans
from evalspan.grafana._regressions import score_regressions
from evalspan.grafana._watched import Alert, Group, Rule, Watched

HEAD = """\
# Rules of evalspan for Prometheus 2.42 or newer (`rule_files`), written by
# `evalspan grafana rules` from the config: change the key `alerts` there, not this file.
"""
_WIDTH = 96


def rules(watched: Watched) -> str:
    """Return the rules as the text of a file; the same config gives the same text."""
    content = {"groups": [group.content() for group in groups(watched)]}
    return HEAD + yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True
    )


def groups(watched: Watched) -> list[Group]:
    """Return all groups: what is recorded, then what is told."""
    quality = [*score_regressions(watched), *evaluations(watched)]
    return [
        Group("evalspan-recording", list(_recordings())),
        # Windows of days need no look each few seconds.
        Group("evalspan-objectives", list(recordings(watched)), interval="1m"),
        Group("evalspan-quality", _told(quality)),
        Group("evalspan-ledger", _told(spans(watched))),
        Group("evalspan-burn-rates", _told(list(burn_rates(watched))), interval="1m"),
    ]


def _told(alerts: list[Alert]) -> list[Rule]:
    return [alert.rule() for alert in alerts]


def _recordings() -> Iterator[Rule]:
    """Yield series that are asked for often, or for longer than raw metrics are kept."""
    by = "service, check, prompt, prompt_version"
    counted = "service_check_prompt_version:evalspan_verdicts:increase1h"
    # The verdict of a check has no item; items are the single questions of checklists.
    verdicts = counted_within('evalspan_verdicts_total{item=""}', "1h", f"{by}, verdict")
    yield {"record": counted, "expr": verdicts}
    yield {
        "record": "service_check_prompt_version:evalspan_pass_ratio:1h",
        # A group in which everything fails is 0, not absent.
        "expr": f'(\n  sum by ({by}) ({counted}{{verdict="pass"}})\n'
        f'  or 0 * sum by ({by}) ({counted}{{verdict="fail"}})\n)\n'
        f'/ (sum by ({by}) ({counted}{{verdict=~"pass|fail"}}) > 0)',
    }
    yield {
        "record": "service_prompt_version_model:evalspan_cost_usd:per_hour",
        "expr": "3600 * sum by (service, prompt, prompt_version, model) "
        "(rate(evalspan_cost_usd_total[1h]))",
    }
    yield {
        "record": "service_model:gen_ai_client_operation_duration_seconds:p95_5m",
        "expr": "histogram_quantile(0.95, sum by (le, service_name, gen_ai_request_model) "
        "(rate(gen_ai_client_operation_duration_seconds_bucket[5m])))",
    }


class _Dumper(yaml.SafeDumper):
    """Long texts are folded, texts of several lines stand as they are."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401 - the base class's signature
        """Write a text that stands twice twice: rules are read by people."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    folded = ">" if len(text) > _WIDTH - 20 else None
    style = "|" if "\n" in text else folded
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
