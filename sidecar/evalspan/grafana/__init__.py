"""grafana: rules for Prometheus and dashboards for Grafana, made from the user's config.

In: `Watched`, the part of the config that rules need. Out: `rules`, the text of a rule file, and
`install`, which brings a Grafana to the dashboards, data sources and rules of this version;
`counted_within` and `first_seen` are PromQL that rules and dashboards have in common. It imports
no room; `pipeline` hands it the config.

Settings: `AlertSettings`, the key `alerts`.
"""

from evalspan.grafana._client import Grafana, GrafanaError
from evalspan.grafana._counted import counted_within, first_seen
from evalspan.grafana._install import Change, Wanted, dashboards, install
from evalspan.grafana._rules import rules
from evalspan.grafana._settings import AlertSettings
from evalspan.grafana._watched import Limit, Watched

__all__ = [
    "AlertSettings",
    "Change",
    "Grafana",
    "GrafanaError",
    "Limit",
    "Wanted",
    "Watched",
    "counted_within",
    "dashboards",
    "first_seen",
    "install",
    "rules",
]
