"""The languages that the detector knows."""

from typing import Final

from evalspan.config import nearest

# Code and English name of each.
_KNOWN: Final = """
af Afrikaans; als Alemannic; am Amharic; an Aragonese; ar Arabic; arz Egyptian Arabic;
as Assamese; ast Asturian; av Avar; az Azerbaijani; azb South Azerbaijani; ba Bashkir;
bar Bavarian; bcl Central Bikol; be Belarusian; bg Bulgarian; bh Bihari; bn Bengali;
bo Tibetan; bpy Bishnupriya; br Breton; bs Bosnian; bxr Buryat; ca Catalan; cbk Chavacano;
ce Chechen; ceb Cebuano; ckb Central Kurdish; co Corsican; cs Czech; cv Chuvash; cy Welsh;
da Danish; de German; diq Zazaki; dsb Lower Sorbian; dty Doteli; dv Dhivehi; el Greek;
eml Emilian; en English; eo Esperanto; es Spanish; et Estonian; eu Basque; fa Persian;
fi Finnish; fr French; frr North Frisian; fy West Frisian; ga Irish; gd Scottish Gaelic;
gl Galician; gn Guarani; gom Konkani; gu Gujarati; gv Manx; he Hebrew; hi Hindi;
hif Fiji Hindi; hr Croatian; hsb Upper Sorbian; ht Haitian Creole; hu Hungarian;
hy Armenian; ia Interlingua; id Indonesian; ie Interlingue; ilo Ilocano; io Ido;
is Icelandic; it Italian; ja Japanese; jbo Lojban; jv Javanese; ka Georgian; kk Kazakh;
km Khmer; kn Kannada; ko Korean; krc Karachay-Balkar; ku Kurdish; kv Komi; kw Cornish;
ky Kyrgyz; la Latin; lb Luxembourgish; lez Lezgian; li Limburgish; lmo Lombard; lo Lao;
lrc Northern Luri; lt Lithuanian; lv Latvian; mai Maithili; mg Malagasy; mhr Eastern Mari;
min Minangkabau; mk Macedonian; ml Malayalam; mn Mongolian; mr Marathi; mrj Western Mari;
ms Malay; mt Maltese; mwl Mirandese; my Burmese; myv Erzya; mzn Mazanderani; nah Nahuatl;
nap Neapolitan; nds Low German; ne Nepali; new Newar; nl Dutch; nn Norwegian Nynorsk;
no Norwegian; oc Occitan; or Odia; os Ossetian; pa Punjabi; pam Kapampangan;
pfl Palatine German; pl Polish; pms Piedmontese; pnb Western Punjabi; ps Pashto;
pt Portuguese; qu Quechua; rm Romansh; ro Romanian; ru Russian; rue Rusyn; sa Sanskrit;
sah Yakut; sc Sardinian; scn Sicilian; sco Scots; sd Sindhi; sh Serbo-Croatian; si Sinhala;
sk Slovak; sl Slovenian; so Somali; sq Albanian; sr Serbian; su Sundanese; sv Swedish;
sw Swahili; ta Tamil; te Telugu; tg Tajik; th Thai; tk Turkmen; tl Tagalog; tr Turkish;
tt Tatar; tyv Tuvan; ug Uyghur; uk Ukrainian; ur Urdu; uz Uzbek; vec Venetian; vep Veps;
vi Vietnamese; vls West Flemish; vo Volapük; wa Walloon; war Waray; wuu Wu Chinese;
xal Kalmyk; xmf Mingrelian; yi Yiddish; yo Yoruba; yue Cantonese; zh Chinese
"""
NAMES: Final = {
    code: name for code, _, name in (each.strip().partition(" ") for each in _KNOWN.split(";"))
}
_CODES: Final = {name.lower(): code for code, name in NAMES.items()}


def known_code(given: object) -> object:
    """Return a code that the detector can find; raises ValueError with the one that was meant."""
    if isinstance(given, bool):
        msg = f"YAML reads a bare word such as no as {str(given).lower()}: put it into quotes, 'no'"
        raise ValueError(msg)  # noqa: TRY004 - ValueError is what becomes a line of config check
    if not isinstance(given, str) or given in NAMES:
        return given
    word = given.strip().lower()
    start = word.replace("_", "-").partition("-")[0]
    meant = _CODES.get(word) or (start if start in NAMES else _CODES.get(_near_name(word)))
    hint = f" Did you mean {meant!r} ({NAMES[meant]})?" if meant else nearest(word, NAMES)
    msg = f"{given!r} is no language that is known; expected an ISO 639 code such as 'en'.{hint}"
    raise ValueError(msg)


def _near_name(word: str) -> str:
    hint = nearest(word, _CODES)
    return hint.split("'")[1] if hint else ""
