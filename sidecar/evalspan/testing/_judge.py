"""The stand-in as a judge: decides by rule, and is wrong at a stated rate.

A request is one to judge when it forces the tool `record_answers`. The user's message holds
`<questions>` of `<question id="…">text</question>` and one `<span>…</span>`, with the special
characters of XML escaped. A question that the scenario does not know is answered `unknown`.
"""

import re
from html import unescape

from evalspan.testing._chance import chance
from evalspan.testing._conversation import Asked, Json
from evalspan.testing._scenario import Question, Scenario

TOOL = "record_answers"
MAX_QUOTE_CHARACTERS = 120
_QUESTION = re.compile(r'<question id="(.*?)">(.*?)</question>', re.DOTALL)
_SPAN = re.compile(r"<span>(.*?)</span>", re.DOTALL)
_TAGS = re.compile(r"</?(?:system|input|output)>")
_BETWEEN_LINES = re.compile(r"[\n<>\"]")
_WORD = re.compile(r"\w{3}")


def record_answers(scenario: Scenario, asked: Asked) -> Json:
    """The arguments of `record_answers`: `{"answers": [{"question", "answer", "quote"}]}`."""
    found = _SPAN.search(asked.user_text)
    # What stands around the recorded texts is no passage of them.
    span = unescape(_TAGS.sub("\n", found.group(1))) if found else ""
    return {
        "answers": [
            {"question": unescape(key)} | _answer(scenario, unescape(key), unescape(text), span)
            for key, text in _QUESTION.findall(asked.user_text)
        ]
    }


def _answer(scenario: Scenario, key: str, text: str, span: str) -> Json:
    known = next((q for q in scenario.judge.questions if q.asks.search(text)), None)
    if known is None:
        return {"answer": "unknown", "quote": ""}
    right, quote = _decided(known, span)
    wrong = chance(scenario.seed, "misjudged", key, span) < scenario.judge.misjudged
    if chance(scenario.seed, "quote", key, span) < scenario.judge.invented_quotes:
        quote = f"As far as one can tell, it is so: {text}"
    return {"answer": "yes" if right != wrong else "no", "quote": quote[:MAX_QUOTE_CHARACTERS]}


def _decided(known: Question, span: str) -> tuple[bool, str]:
    proof = known.yes_when.search(span)
    if proof:
        return True, proof.group()
    # Line by line: one pattern for all would try a long line from each of its characters.
    lines = reversed(_BETWEEN_LINES.split(span))
    return False, next((line.strip() for line in lines if _WORD.search(line)), "")
