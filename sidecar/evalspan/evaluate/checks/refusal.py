"""Whether the model refused to answer."""
# ruff: noqa: RUF001 - the phrases are of many languages and so are their letters

from typing import Final

import polars as pl

from evalspan.evaluate.checks._limits import AtLeastOne, Words

MATCH = "role = 'llm' AND output_text IS NOT NULL"
# How refusals begin; lower case, plain apostrophes.
PHRASES: Final = (
    *("i can't help", "i cannot help", "i can't assist", "i cannot assist", "i won't be able to"),
    *("i'm unable to", "i am unable to", "i'm not able to", "i am not able to"),
    *("i can't provide", "i cannot provide", "i can't comply", "i cannot comply"),
    *("i can't fulfill", "i cannot fulfill", "i must decline", "i have to decline"),
    *("i can't do that", "i cannot do that", "i'm sorry, but i can", "i apologize, but i can"),
    *("dabei kann ich nicht helfen", "dabei kann ich ihnen nicht", "ich kann ihnen dabei nicht"),
    *("das kann ich leider nicht", "tut mir leid, aber ich kann", "ich kann dir dabei nicht"),
    *("je ne peux pas vous aider", "je ne peux pas répondre", "je suis désolé, mais je ne"),
    *("je ne suis pas en mesure", "je ne peux pas fournir", "je suis désolée, mais je ne"),
    *("no puedo ayudar", "lo siento, pero no puedo", "no puedo proporcionar", "no me es posible"),
    *("non posso aiutar", "mi dispiace, ma non posso", "non sono in grado di"),
    *("não posso ajudar", "desculpe, mas não posso", "não consigo ajudar"),
    *("ik kan je daar niet mee helpen", "het spijt me, maar ik kan", "ik kan u daar niet"),
    *("nie mogę pomóc", "przykro mi, ale nie mogę", "я не могу помочь", "извините, но я не могу"),
    *("我无法提供", "我不能提供", "抱歉，我无法", "对不起，我无法", "抱歉，我不能", "我无法协助"),
    *("申し訳ありませんが、お", "お手伝いできません", "お答えできません", "提供できません"),
    *("도와드릴 수 없", "죄송하지만", "제공할 수 없", "yardımcı olamam", "لا أستطيع مساعدت"),
)


def refusal(
    spans: pl.DataFrame, *, phrases: Words | None = None, within: AtLeastOne = 300
) -> pl.DataFrame:
    """Fail if the answer begins like a refusal. Evidence: the phrase.

    Looks for known phrases in sixteen languages, and for your own `phrases`, in the
    first `within` characters. Cheap and blunt: a refusal in other words passes, an
    answer that quotes one fails.

    Example: `{use: refusal, phrases: [please call our hotline]}`
    """
    wanted = [*PHRASES, *(phrase.lower() for phrase in phrases or ())]
    head = pl.col("output_text").str.slice(0, within).str.to_lowercase().str.replace_all("’", "'")
    found = head.str.contains_any(wanted)
    return spans.with_columns(head.alias("head"), found.alias("found")).select(
        passed=~pl.col("found"),
        reason=pl.when("found").then(pl.lit("the answer begins like a refusal")),
        evidence=pl.when("found").then(
            pl.col("head").str.extract_many(wanted).list.get(0, null_on_oob=True)
        ),
    )
