"""The demo's traffic is the same on every run and has the slices that the story needs."""

import re
from collections import Counter

import yaml

from evalspan.demo import CONFIG, PROMPT_VERSIONS, PROMPTS, SCHEMA, prompt_text
from evalspan.demo._pages import COMMA_SHOP, CUSTOMERS, page, review, support_question
from evalspan.testing import load_scenario


def test_every_page_is_another_and_the_same_on_every_run() -> None:
    texts = [page(customer, index).text for customer in CUSTOMERS for index in range(160)]
    assert len(set(texts)) == 8 * 160
    assert texts[0] == page(CUSTOMERS[0], 0).text


def test_one_customer_of_eight_writes_prices_with_a_comma() -> None:
    for customer in CUSTOMERS:
        priced = [page(customer, index).text for index in range(30)]
        lines = [line for text in priced for line in text.splitlines() if "Price: " in line]
        assert lines
        with_comma = [bool(re.fullmatch(r"Price: [\d.]+,\d\d EUR", line)) for line in lines]
        assert set(with_comma) == {customer == COMMA_SHOP}


def test_customers_read_pages_of_several_kinds() -> None:
    for customer in CUSTOMERS:
        kinds = Counter(page(customer, index).kind for index in range(60))
        assert len(kinds) >= 2
        assert kinds["product"] >= 30


def test_questions_and_reviews_name_their_customer() -> None:
    assert "globex" in support_question("globex", 3)
    assert "G-1003" in support_question("globex", 3)
    assert "globex" in review("globex", 3)


def test_the_second_prompt_lacks_the_price_rule_and_nothing_else() -> None:
    rules = [rule for rule in load_scenario().rules if rule.stands]
    stand = {
        version: {rule.id for rule in rules if rule.stands_in(prompt_text("extract", version))}
        for version in PROMPT_VERSIONS
    }
    assert stand["v1"] - stand["v2"] == {"price_number"}
    assert stand["v2"] < stand["v1"]


def test_a_sentence_of_a_rule_states_the_rule() -> None:
    rules = [rule for rule in load_scenario().rules if rule.sentence]
    assert rules
    for rule in rules:
        assert [other.id for other in rules if other.stands_in(rule.sentence)] == [rule.id]


def test_the_files_of_the_demo_are_there_and_readable() -> None:
    assert yaml.safe_load(CONFIG.read_text("utf-8"))["dimensions"]["customer"]
    assert SCHEMA.exists()
    assert len(list(PROMPTS.glob("*.txt"))) == 4
