"""Countries as an invented buyer needs them: names in the local script, streets, cities with their postcodes, a language.

Telephone numbers come only from ranges that a regulator keeps free for fiction (Ofcom, NANPA 555-01xx, ARCEP, BNetzA, ComReg,
PTS, ACMA); a country without such a range gets none, for any other number may ring at somebody's home.
"""

from __future__ import annotations

from dataclasses import dataclass

City = tuple[str, str | None, str | None]
"""City, region code, postcode; None where the country has none."""


@dataclass(frozen=True, slots=True)
class Place:
    """One country. `number_first` says whether a house number precedes its street; `family_first` how a name is written."""

    language: str
    given_names: tuple[str, ...]
    family_names: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[City, ...]
    number_first: bool = False
    family_first: bool = False
    phone: str | None = None  # each "#" becomes a digit


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split("|"))


def _cities(text: str) -> tuple[City, ...]:
    """`City/region/postcode|…` with an empty field where there is none."""
    rows = [row.split("/") for row in _words(text)]
    return tuple((city, region or None, postcode or None) for city, region, postcode in rows)


def _place(
    language: str, given: str, family: str, streets: str, cities: str, *, phone: str | None = None, order: str = ""
) -> Place:
    return Place(
        language,
        _words(given),
        _words(family),
        _words(streets),
        _cities(cities),
        number_first="n" in order,
        family_first="f" in order,
        phone=phone,
    )


_ENGLISH_GIVEN = "Ada|Bertram|Cordelia|Dorian|Elspeth|Fergus|Greta|Hamish|Imogen|Jasper"
_ARABIC_GIVEN = "ليلى|سلمى|يوسف|نور|كريم|هالة"
_ARABIC_FAMILY = "النجار|الحداد|الخياط|البستاني|الصايغ"

PLACES: dict[str, Place] = {
    "GB": _place(
        "en",
        _ENGLISH_GIVEN,
        "Ashdown|Birdwhistle|Cobbleigh|Dunmarrow|Eastmere|Fennimoor|Goosewell|Harkaway",
        "Lantern Lane|Quarry Hill|Mill Row|Orchard Way|Bellfounder Street|Tanners Yard",
        "London//SE1 9ZZ|Leeds//LS1 9ZZ|Bristol//BS1 9ZZ|Cardiff//CF10 9ZZ|Glasgow//G1 9ZZ|Norwich//NR1 9ZZ",
        phone="+44 7700 900###",
        order="n",
    ),
    "JE": _place(
        "en",
        _ENGLISH_GIVEN,
        "Le Marquand|De La Haye|Renouf",
        "La Rue du Phare|Quai Lane",
        "St Helier//JE2 3AB|St Brelade//JE3 8AA",
        order="n",
    ),
    "IE": _place(
        "en",
        "Aoife|Cillian|Niamh|Oisín|Róisín|Tadhg",
        "Ó Murchú|Ní Bhriain|Mac Giolla|Fitzhenry",
        "Harbour Terrace|Sráid an Droichid|Chapel Lane",
        "Dublin//D02 X285|Cork//T12 X285|Galway//H91 X285",
        phone="+353 20 91# ####",
        order="n",
    ),
    "FR": _place(
        "fr",
        "Amélie|Benoît|Célestine|Éloi|Françoise|Gaël",
        "Bonnefoy|Chantepie|d’Aubéterre|Lafontenelle|Œillet",
        "rue des Orfèvres|allée du Moulin|impasse des Lilas",
        "Paris//75004|Lyon//69002|Nantes//44000|Strasbourg//67000",
        phone="+33 1 99 00 ## ##",
        order="n",
    ),
    "DE": _place(
        "de",
        "Annegret|Björn|Cäcilie|Dörte|Jürgen|Käthe",
        "Müllerin|Großkopf|Überacker|Steinbeißer|Weißgerber",
        "Goldschmiedgasse|Am Mühlbach|Königsweg",
        "Berlin//10115|Hamburg//20095|Köln//50667|Pforzheim//75172",
        phone="+49 30 23125 ###",
    ),
    "NL": _place(
        "nl",
        "Anneloes|Diederik|Femke|Joost|Maartje",
        "van der Bijlen|de Zilverberg|Ten Kate-Smid",
        "Zilverstraat|Molenpad|Oude Gracht",
        "Amsterdam//1012 AB|Utrecht//3511 AB|Schoonhoven//2871 AB",
    ),
    "NO": _place(
        "no",
        "Åse|Bjørg|Håkon|Sølvi|Torbjørn",
        "Fjellås|Sølvberg|Nordgård",
        "Smedgata|Fjordveien|Kirkebakken",
        "Oslo//0150|Bergen//5003|Trondheim//7010",
    ),
    "SE": _place(
        "sv",
        "Åke|Märta|Örjan|Sigrid|Hjördis",
        "Ädelsten|Sjögräs|Björkö",
        "Silversmedsgatan|Ängsvägen|Hamngränd",
        "Stockholm//111 20|Göteborg//411 03|Malmö//211 20",
        phone="+46 70 174 06 ##",
    ),
    "DK": _place(
        "da",
        "Asger|Birgitte|Søren|Ærlig",
        "Guldsmed|Kærgård|Østerbjerg",
        "Sølvgade|Møllevej",
        "København K//1307|Aarhus C//8000|Odense C//5000",
    ),
    "FI": _place(
        "fi",
        "Aino|Eero|Hilkka|Väinö",
        "Hopeasalo|Kultala|Järvenpää-Mäki",
        "Sepänkatu|Järvitie",
        "Helsinki//00100|Turku//20100|Tampere//33100",
    ),
    "IS": _place(
        "is", "Ásdís|Þórður|Guðrún|Sævar", "Hallsdóttir|Þorvarðsson", "Silfurgata|Hafnarstræti", "Reykjavík//101|Akureyri//600"
    ),
    "LT": _place(
        "lt",
        "Jūratė|Žygimantas|Eglė|Šarūnas",
        "Sidabrinis|Gintaraitė|Ąžuolas",
        "Auksakalių g.|Gintaro g.",
        "Vilnius//LT-01100|Kaunas//LT-44001",
    ),
    "PL": _place(
        "pl",
        "Łucja|Grzegorz|Małgorzata|Świętosław",
        "Złotnicka|Bursztynowicz|Źrebiec",
        "ul. Złotników|ul. Młyńska",
        "Warszawa//00-001|Kraków//30-002|Gdańsk//80-001",
    ),
    "CZ": _place(
        "cs", "Božena|Jiří|Řehoř|Zdeňka", "Zlatníková|Stříbrný|Příhoda", "Zlatnická|U Mlýna", "Praha 1//110 00|Brno//602 00"
    ),
    "AT": _place(
        "de",
        "Leopoldine|Xaver|Gundi",
        "Silberbauer|Goldegger|Höllwarth",
        "Annagasse|Mühlgasse",
        "Wien//1010|Graz//8010|Linz//4020",
    ),
    "CH": _place(
        "de",
        "Reto|Ursina|Aurèle|Ladina",
        "Goldiger|Bänziger-Rüegg|Perrenoud",
        "Silbergasse|Rue du Lac",
        "Zürich//8001|Genève//1201|Bern//3011",
    ),
    "BE": _place(
        "nl",
        "Griet|Lieven|Maïté|Thibault",
        "Diamantbroek|Van Zilver|Delorfèvre",
        "Pelikaanstraat|Rue de l’Étuve",
        "Antwerpen//2018|Bruxelles//1000|Gent//9000",
    ),
    "ES": _place(
        "es",
        "Begoña|Íñigo|María José|Nuño",
        "Platero Ibáñez|Orfebre Núñez|Peñalba",
        "Calle de la Plata|Paseo del Río",
        "Madrid/M/28001|Barcelona/B/08001|Córdoba/CO/14001",
    ),
    "PT": _place(
        "pt",
        "Conceição|João|Inês|Simão",
        "Ourives Brandão|da Assunção|Magalhães Prata",
        "Rua do Ouro|Travessa do Moinho",
        "Lisboa//1100-001|Porto//4000-001|Gondomar//4420-001",
    ),
    "IT": _place(
        "it",
        "Niccolò|Ginevra|Rosalìa|Ettore",
        "Orefici|D’Argento|Dell’Oro",
        "Via degli Orefici|Vicolo del Mulino",
        "Arezzo/AR/52100|Vicenza/VI/36100|Roma/RM/00100",
    ),
    "GR": _place(
        "el",
        "Αγγελική|Ορέστης|Χαρίκλεια|Σπύρος",
        "Χρυσοχόου|Ασημάκης|Διαμαντίδη",
        "Οδός Χρυσοχόων|Οδός Μύλου",
        "Αθήνα//105 51|Θεσσαλονίκη//546 24",
    ),
    "CY": _place(
        "el", "Μυροφόρα|Κυριάκος|Άντρη", "Ασημένος|Χρυσοστόμου", "Οδός Λήδρας|Οδός Ερμού", "Λευκωσία//1010|Λεμεσός//3010"
    ),
    "MT": _place(
        "en",
        "Ċensu|Ġorġa|Żeppi",
        "Arġentier|Farruġia-Deheb",
        "Triq id-Deheb|Triq il-Mitħna",
        "Valletta//VLT 1010|Mdina//MDN 1010",
        order="n",
    ),
    "IL": _place("he", "נעמה|אורי|תמר|איתן", "כספי|זהבי|צורף", "רחוב הצורפים|רחוב הטחנה", "ירושלים//9410101|חיפה//3100101"),
    "BH": _place("ar", _ARABIC_GIVEN, _ARABIC_FAMILY, "طريق اللؤلؤ|طريق الصاغة", "المنامة//317|المحرق//211"),
    "LB": _place("ar", _ARABIC_GIVEN, _ARABIC_FAMILY, "شارع الصاغة|شارع المرفأ", "بيروت//1107 2810|طرابلس//1300"),
    "AE": _place("en", _ARABIC_GIVEN, _ARABIC_FAMILY, "Gold Souk Street|Pearl Road", "Dubai/DU/|Sharjah/SH/"),
    "SA": _place("ar", _ARABIC_GIVEN, _ARABIC_FAMILY, "شارع الفضة|شارع الواحة", "الرياض//11564|جدة//21577"),
    "JP": _place(
        "ja",
        "あかり|健太|さくら|翔",
        "銀野|金森|玉川|真珠ヶ丘",
        "銀座通り 3丁目|水車町 2丁目",
        "東京都中央区/13/104-0061|京都市中京区/26/604-8001|甲府市/19/400-0031",
        order="f",
    ),
    "HK": _place("zh-HK", "嘉欣|家明|詠詩|志強", "金|銀|玉", "Goldsmith Lane|Pearl Street", "Kowloon//|Central//", order="nf"),
    "SG": _place(
        "en",
        "Mei Ling|Arjun|Siti Nur|Wei Jie",
        "Tan-Emas|Kumaravel|Binte Perak",
        "Silver Bead Road|Jalan Mutiara",
        "Singapore//018989|Singapore//238801",
        order="n",
    ),
    "AU": _place(
        "en",
        _ENGLISH_GIVEN,
        "Opalstone|Wattleby|Kangarilla",
        "Opal Parade|Mill Street",
        "Sydney/NSW/2000|Melbourne/VIC/3000|Coober Pedy/SA/5723",
        phone="+61 2 5550 ####",
        order="n",
    ),
    "CA": _place(
        "en",
        "Océane|Wynn|Étienne|Sunniva",
        "Maplethorpe|Beauargent|Nootkason",
        "Assay Street|chemin du Moulin",
        "Toronto/ON/M5V 2T6|Montréal/QC/H2Y 1C6|Vancouver/BC/V6B 1A1",
        phone="+1 604 555 01##",
        order="n",
    ),
    "US": _place(
        "en",
        "Marisol|Thaddeus|Winona|Ezekiel|Nguyệt|DeShawn",
        "Silverleaf|O’Goldrick|Torres-Platt|Trần|Smithwright",
        "Assayer Street|Larkspur Avenue|Old Mill Road",
        "Denver/CO/80202|Portland/OR/97201|Providence/RI/02903|Santa Fe/NM/87501",
        phone="+1 303 555 01##",
        order="n",
    ),
    "ZA": _place(
        "en",
        "Thandeka|Pieter|Nomvula|Sipho",
        "Goudsmid|Silwerkamp|Dlamini-Rand",
        "Diamond Road|Meulstraat",
        "Johannesburg//2000|Kimberley//8300",
        order="n",
    ),
    "IN": _place(
        "hi",
        "आरती|देवेंद्र|मीनाक्षी|रोहन",
        "सोनार|जौहरी|मोतीवाला",
        "जौहरी बाज़ार|चाँदी चौक",
        "Jaipur/RJ/302003|Mumbai/MH/400002",
        order="n",
    ),
    "TR": _place(
        "tr",
        "Çiğdem|Işık|Oğuz|Şule",
        "Kuyumcuoğlu|Gümüşdal|Altınay",
        "Kuyumcular Sokak|Değirmen Caddesi",
        "İstanbul/34/34110|Ankara/06/06100",
    ),
    "RO": _place(
        "ro",
        "Ștefania|Răzvan|Anișoara|Țuțu",
        "Argintaru|Aurăreanu",
        "Strada Aurarilor|Aleea Morii",
        "București/B/030167|Cluj-Napoca/CJ/400001",
    ),
    "BR": _place(
        "pt-BR",
        "Conceição|João Batista|Iracema|Raimundo|Thaís|Caetano",
        "da Prata|Ourivesaria Lima|Guimarães d’Ouro|Assunção|Pedreira",
        "Rua das Pedras|Avenida do Ouro|Travessa da Prata",
        "São Paulo/SP/01001-000|Rio de Janeiro/RJ/20010-000|Belo Horizonte/MG/30110-000",
    ),
    "UA": _place(
        "uk", "Зоряна|Богдан|Їжачок|Ґеник", "Срібняк|Золотар|Перлина", "вул. Ювелірна|вул. Млинова", "Київ//01001|Львів//79000"
    ),
    "KR": _place(
        "ko", "하늘|민준|서연|도윤", "은|금|옥", "보석로|방앗간길", "서울특별시 종로구//03154|부산광역시 중구//48953", order="f"
    ),
}

BRAZILIAN_STATES: dict[str, City] = {
    city[1]: city
    for city in _cities(
        "Rio Branco/AC/69900-000|Maceió/AL/57010-000|Manaus/AM/69005-000|Macapá/AP/68900-000|"
        "Salvador/BA/40010-000|Fortaleza/CE/60010-000|Brasília/DF/70040-000|Vitória/ES/29010-000|"
        "Goiânia/GO/74003-000|São Luís/MA/65010-000|Belo Horizonte/MG/30110-000|Campo Grande/MS/79002-000|"
        "Cuiabá/MT/78005-000|Belém/PA/66010-000|João Pessoa/PB/58010-000|Recife/PE/50010-000|"
        "Teresina/PI/64000-000|Curitiba/PR/80010-000|Rio de Janeiro/RJ/20010-000|Natal/RN/59010-000|"
        "Porto Velho/RO/76801-000|Boa Vista/RR/69301-000|Porto Alegre/RS/90010-000|Florianópolis/SC/88010-000|"
        "Aracaju/SE/49010-000|São Paulo/SP/01001-000|Palmas/TO/77001-000"
    )
    if city[1]
}
"""A state's code to its capital."""

COUNTRY_CODES: dict[str, str] = {
    "United Kingdom": "GB",
    "Channel Islands": "JE",
    "EIRE": "IE",
    "France": "FR",
    "Germany": "DE",
    "Netherlands": "NL",
    "Norway": "NO",
    "Sweden": "SE",
    "Denmark": "DK",
    "Finland": "FI",
    "Iceland": "IS",
    "Lithuania": "LT",
    "Poland": "PL",
    "Czech Republic": "CZ",
    "Austria": "AT",
    "Switzerland": "CH",
    "Belgium": "BE",
    "Spain": "ES",
    "Portugal": "PT",
    "Italy": "IT",
    "Greece": "GR",
    "Cyprus": "CY",
    "Malta": "MT",
    "Israel": "IL",
    "Bahrain": "BH",
    "Lebanon": "LB",
    "United Arab Emirates": "AE",
    "Saudi Arabia": "SA",
    "Japan": "JP",
    "Hong Kong": "HK",
    "Singapore": "SG",
    "Australia": "AU",
    "Canada": "CA",
    "USA": "US",
    "RSA": "ZA",
    "Brazil": "BR",
    # The set's own words for "we do not know": the shop's country, and a member of the union it names.
    "Unspecified": "GB",
    "European Community": "BE",
}
"""The gift shop's words for a country to ISO 3166-1."""
