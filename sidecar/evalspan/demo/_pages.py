"""Makes the demo's traffic: web pages, support questions and reviews, the same on every run."""

from dataclasses import dataclass

CUSTOMERS = ("acme", "globex", "initech", "umbrella", "hooli", "vandelay", "stark", "wonka")
"""The shops that use the demo app. globex alone writes prices like 1.299,00 EUR."""

COMMA_SHOP = "globex"
KINDS = ("product", "recipe", "product", "event", "product", "recipe")
COMMA_SHOP_KINDS = ("product", "event", "product")
MATERIALS = ("oak", "linen", "steel", "cork", "wool", "bamboo", "glass")
THINGS = ("garden chair", "desk lamp", "teapot", "travel bag", "bookshelf", "wall clock")
DISHES = ("lentil soup", "plum cake", "potato salad", "mushroom risotto", "onion tart")
INGREDIENTS = ("200 g lentils", "2 onions", "500 g potatoes", "3 eggs", "1 lemon", "80 g butter")
SHOWS = ("open air concert", "pottery class", "night market", "book fair", "guided walk")
PLACES = ("Old Mill", "Town Hall", "Harbour Stage", "City Library")
MONTHS = ("January", "March", "April", "June", "September", "November")
TOPICS = ("delivery", "price", "quality", "service")
TROUBLES = (
    "I would like to know where it is.",
    "It arrived damaged and I would like a refund.",
    "Can I still return it?",
    "It never arrived, please send me a refund.",
)


@dataclass(frozen=True, slots=True)
class Page:
    """One web page as plain text, with its first line the address."""

    customer: str
    kind: str
    text: str


def page(customer: str, index: int) -> Page:
    """The page number `index` of a customer."""
    kinds = COMMA_SHOP_KINDS if customer == COMMA_SHOP else KINDS
    kind = kinds[index % len(kinds)]
    address = f"https://{customer}.example/{kind}/{index:04d}"
    body = {"product": _product, "recipe": _recipe, "event": _event}[kind](customer, index)
    return Page(customer, kind, "\n".join([address, "Home > All > This page", *body]))


def support_question(customer: str, index: int) -> str:
    """What a buyer writes to the support agent."""
    order = f"{customer[0].upper()}-{1000 + index:04d}"
    trouble = TROUBLES[index % len(TROUBLES)]
    return f"Shop: {customer}\nHello, this is about my order {order}. {trouble}"


def review(customer: str, index: int) -> str:
    """What a buyer writes about a shop."""
    topic = TOPICS[index % len(TOPICS)]
    stars = 1 + index * 7 % 5
    return f"Review by a buyer of {customer}, no. {index}\n{stars} of 5 stars, about the {topic}."


def _price(customer: str, index: int) -> str:
    cents = 595 + index * 13_730 % 250_000
    amount = f"{cents / 100:,.2f}"
    if customer == COMMA_SHOP:
        return f"{amount.translate(str.maketrans(',.', '.,'))} EUR"
    return f"{('USD', 'GBP')[len(customer) % 2]} {amount}"


def _product(customer: str, index: int) -> list[str]:
    material = MATERIALS[index % len(MATERIALS)]
    thing = THINGS[index // 2 % len(THINGS)]
    return [
        f"# {material.capitalize()} {thing} {index}",
        f"Article no. {customer[:2].upper()}-{index:04d}",
        f"Price: {_price(customer, index)}",
        "In stock, sent within two days",
        f"About: A {thing} of {material}, made to last.",
    ]


def _recipe(_: str, index: int) -> list[str]:
    listed = [INGREDIENTS[(index + step) % len(INGREDIENTS)] for step in range(3)]
    dish = DISHES[index % len(DISHES)]
    return [
        f"# {dish.capitalize()} no. {index}",
        f"Serves: {2 + index % 5} people",
        f"Ingredients: {'; '.join(listed)}",
        f"About: A {dish} for every day of the week.",
    ]


def _event(customer: str, index: int) -> list[str]:
    return [
        f"# {SHOWS[index % len(SHOWS)].capitalize()} {index}",
        f"When: {1 + index % 28} {MONTHS[index % len(MONTHS)]} 2026",
        f"Where: {PLACES[index % len(PLACES)]}",
        f"Price: {_price(customer, index)}",
    ]
