"""The stand-in as a rewriter: proposes prompts from what the request shows, and nothing else.

A request is one to rewrite when it forces the tool `propose_prompts`. The user's message holds
`<current_prompt>`, `<finding>` and `<failing_cases>` of `<case>` with `<failed>check: reason
</failed>`, with the special characters of XML escaped. The rewriter learns those rules of the
scenario whose `learned_from` matches a reason; what no failing case shows it does not know.
"""

import re
from collections import Counter
from html import unescape

from evalspan.testing._chance import chance
from evalspan.testing._conversation import Asked, Json
from evalspan.testing._scenario import Rule, Scenario

TOOL = "propose_prompts"
REWORDINGS = (
    "Work carefully and check your answer before you give it.",
    "Think about each part of the question in turn.",
    "Be precise.",
)
WORDINGS = ("{}", "Important: {}", "{} Check this before you answer.")
_CURRENT_PROMPT = re.compile(r"<current_prompt>(.*?)</current_prompt>", re.DOTALL)
_FAILED = re.compile(r"<failed>(.*?)</failed>", re.DOTALL)


def propose_prompts(scenario: Scenario, asked: Asked) -> Json:
    """The arguments of the tool `propose_prompts`: `{"proposals": [{"prompt", "rationale"}]}`.

    Which proposals are useless or harmful is drawn from the seed, the current prompt and the
    number of the proposal.
    """
    found = _CURRENT_PROMPT.search(asked.user_text)
    prompt = unescape(found.group(1)).strip() if found else ""
    lessons = _lessons(scenario, prompt, asked.user_text)
    count = scenario.rewriter.proposals
    return {"proposals": [_proposal(scenario, prompt, lessons, n) for n in range(count)]}


def _lessons(scenario: Scenario, prompt: str, text: str) -> list[Rule]:
    reasons = [unescape(reason) for reason in _FAILED.findall(text)]
    seen = Counter(
        index
        for index, rule in enumerate(scenario.rules)
        if rule.learned_from and rule.sentence and not rule.stands_in(prompt)
        for reason in reasons
        if rule.learned_from.search(reason)
    )
    return [scenario.rules[index] for index, _ in seen.most_common()]


def _proposal(scenario: Scenario, prompt: str, lessons: list[Rule], number: int) -> Json:
    draw = chance(scenario.seed, "proposal", prompt, str(number))
    if not lessons or draw < scenario.rewriter.useless:
        rewording = REWORDINGS[number % len(REWORDINGS)]
        return {"prompt": _with(prompt, rewording), "rationale": "Asks for more care."}
    mended = prompt
    for rule in lessons:
        mended = _with(mended, WORDINGS[number % len(WORDINGS)].format(rule.sentence))
    rationale = f"States what the failing cases lack: {lessons[0].sentence}"
    if draw < scenario.rewriter.useless + scenario.rewriter.harmful:
        mended = _harmed(scenario, mended, lessons, number)
        rationale += " Also shorter and clearer."
    return {"prompt": mended, "rationale": rationale}


def _harmed(scenario: Scenario, prompt: str, lessons: list[Rule], number: int) -> str:
    """The prompt without another rule that it holds, or with a sentence that does harm."""
    others = [rule for rule in scenario.rules if rule not in lessons]
    ways = [
        _without(prompt, rule) for rule in others if rule.stands_in(prompt) and not rule.harmful
    ]
    ways += [_with(prompt, rule.sentence) for rule in others if rule.harmful and rule.sentence]
    if not ways:
        return prompt
    return ways[int(chance(scenario.seed, "harm", prompt, str(number)) * len(ways))]


def _with(prompt: str, sentence: str) -> str:
    bullet = "- " if re.search(r"^- ", prompt, re.MULTILINE) else ""
    return f"{prompt}\n{bullet}{sentence}"


def _without(prompt: str, rule: Rule) -> str:
    return "\n".join(line for line in prompt.splitlines() if not rule.stands_in(line))
