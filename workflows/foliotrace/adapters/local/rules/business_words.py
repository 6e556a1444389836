"""Words of business papers in six languages (English, German, French, Spanish, Italian, Dutch).

Data only: extend it freely. Some English words are those of countries where English is a language
of trade (Malay street names, Asian and African legal forms).
"""

from typing import Final

# every name of a group stands for every other
ALIASES: Final[tuple[tuple[str, ...], ...]] = (
    (
        "invoice number", "invoice no", "bill number", "rechnungsnummer", "rechnung nr",
        "numéro de facture", "facture n", "número de factura", "factura n", "numero fattura",
        "fattura n", "factuurnummer",
    ),
    (
        "invoice date", "bill date", "date of issue", "rechnungsdatum", "belegdatum",
        "date de facture", "date de facturation", "fecha de factura", "fecha de emisión",
        "data fattura", "data di emissione", "factuurdatum",
    ),
    (
        "due date", "payable until", "payment due", "fällig am", "zahlbar bis",
        "fälligkeitsdatum", "date d'échéance", "échéance", "fecha de vencimiento",
        "vencimiento", "data di scadenza", "scadenza", "vervaldatum",
    ),
    (
        "customer number", "customer no", "kundennummer", "numéro de client",
        "número de cliente", "numero cliente", "klantnummer",
    ),
    (
        "order number", "order no", "bestellnummer", "auftragsnummer", "numéro de commande",
        "número de pedido", "numero ordine", "bestelnummer", "ordernummer",
    ),
    (
        "customer", "bill to", "client", "kunde", "rechnungsempfänger", "cliente", "klant",
    ),
    (
        "subtotal", "net amount", "nettobetrag", "zwischensumme", "sous-total", "montant ht",
        "base imponible", "imponibile", "subtotaal",
    ),
    (
        "grand total", "total amount", "amount due", "total due", "gesamtbetrag",
        "rechnungsbetrag", "gesamtsumme", "zu zahlen", "montant total", "total ttc",
        "net à payer", "importe total", "total a pagar", "totale fattura", "totale da pagare",
        "importo totale", "totaalbedrag", "te betalen",
    ),
    ("tax number", "vat number", "steuernummer", "ust-idnr", "numéro de tva", "nif", "partita iva",
     "btw-nummer"),
    ("iban", "account number", "kontonummer", "numéro de compte", "número de cuenta",
     "numero di conto", "rekeningnummer"),
)  # fmt: skip

# fmt: off
ORGANISATION: Final = frozenset((
    "company", "hospital", "clinic", "bank", "insurer",
    "vendor", "merchant", "store", "shop", "supplier", "seller", "issuer", "retailer",
    "business", "organisation", "organization", "restaurant", "firma", "unternehmen", "händler",
    "verkäufer", "lieferant", "aussteller", "geschäft", "entreprise", "société", "magasin",
    "commerçant", "vendeur", "fournisseur", "émetteur", "empresa", "tienda", "comercio",
    "vendedor", "proveedor", "emisor", "azienda", "negozio", "venditore", "fornitore", "bedrijf",
    "winkel", "verkoper", "leverancier",
))
ADDRESS: Final = frozenset((
    "address", "adresse", "anschrift", "dirección", "direccion", "domicilio", "indirizzo",
    "adres",
))
DATE: Final = frozenset((
    "date", "datum", "fecha", "data",
))
DATE_OF_PAPER: Final = frozenset((
    "receipt", "invoice", "transaction", "purchase", "bill", "issue", "issued", "document",
    "order", "sale",
))
TOTAL: Final = frozenset((
    "total", "grandtotal", "gesamtbetrag", "gesamtsumme", "summe", "gesamt", "totale", "totaal",
    "endbetrag",
))
TOTAL_QUALITIES: Final = frozenset((
    "grand", "amount", "overall", "final", "due", "sum", "price", "paid", "receipt", "invoice",
    "bill", "montant", "importe", "importo", "betrag", "bedrag", "value",
))
TITLE_OF_DOCUMENT: Final = frozenset((
    "title", "headline", "titel", "überschrift", "titre", "título", "titulo", "titolo",
))
DOCUMENT: Final = frozenset((
    "document", "paper", "article", "report", "dokument", "artikel", "article", "documento",
    "artículo", "rapport", "page", "post", "talk", "presentation",
))
PHONE: Final = frozenset((
    "phone", "telephone", "tel", "fax", "mobile", "telefon", "téléphone", "teléfono", "telefono",
    "telefoon", "handy", "móvil", "cellulare",
))
NAME: Final = frozenset((
    "name", "nombre", "nom", "nome", "naam",
))
# fmt: on

LEGAL_FORMS: Final = (
    r"sdn\.?\s*bhd|bhd|s/b|s\.b|pte\.?\s*ltd|pty\.?\s*ltd|ltd|limited|llc|llp|plc|inc|corp"
    r"|corporation|gmbh(?:\s*&\s*co\.?\s*kg)?|ag|kg|ohg|e\.k|ug|sarl|s\.a\.r\.l|sas|s\.a|s\.l"
    r"|s\.l\.u|s\.r\.l|srl|s\.p\.a|spa|b\.v|bv|n\.v|pvt"
)
# fmt: off
TRADES: Final = frozenset((
    "restaurant", "restoran", "cafe", "café", "bistro", "bakery", "hotel", "hardware", "trading",
    "enterprise", "enterprises", "mart", "market", "minimarket", "supermarket", "store", "stores",
    "shop", "pharmacy", "bookshop", "books", "stationery", "electrical", "furniture", "motor",
    "florist", "gift", "gallery", "kedai", "perniagaan", "syarikat", "pasar", "ristorante",
    "albergo", "farmacia", "libreria", "panetteria", "restaurante", "tienda", "panadería",
    "librería", "boulangerie", "pharmacie", "librairie", "magasin", "bäckerei", "apotheke",
    "buchhandlung", "gasthaus", "metzgerei", "bakkerij", "apotheek", "winkel", "co", "company",
    "group", "services", "center", "centre",
))
# fmt: on
STREETS: Final = (
    r"street|st|road|rd|avenue|ave|lane|ln|boulevard|blvd|drive|dr|highway|court|square|floor|flr"
    r"|suite|unit|level|block|lot|building|p\.?o\.?\s*box|jalan|jln|jl|lorong|taman|tmn|kampung"
    r"|bandar|persiaran|lebuhraya|kawasan|mukim|seksyen|section"
    r"|\w*stra(?:ß|ss)e|\w+str|\w*weg|\w*platz|\w*gasse|allee|rue|quai|place|chemin|impasse"
    r"|calle|avenida|avda|plaza|paseo|carretera|via|viale|piazza|corso|vicolo"
    r"|\w*straat|\w*laan|\w*plein|\w*gracht"
)
COUNTRIES: Final = (
    r"malaysia|singapore|united\s+kingdom|u\.?k\.?|ireland|u\.?s\.?a\.?|united\s+states|canada"
    r"|australia|new\s+zealand|india|germany|deutschland|austria|österreich|switzerland|schweiz"
    r"|suisse|france|belgium|belgique|belgië|spain|españa|italy|italia|netherlands|nederland"
    r"|portugal|poland|polska|denmark|danmark|sweden|sverige|norway|norge|finland|japan|mexico"
    r"|méxico|brazil|brasil|argentina|chile|colombia|south\s+africa"
)
CONTACT: Final = (
    r"(?:te[li1]|tel\.)\s*[&/]\s*fax|tel|telephone|phone|fax|hotline|mobile|h/?p|e-?mail|www|http|website|telefon|téléphone|tél"
    r"|teléfono|telefono|telefoon|careline|customer\s+service"
)
REGISTRATION: Final = (
    r"gst|vat|tax\s*(?:reg|id|no)|sst|ust|siret|siren|tva|nif|cif|p\.?\s*iva|partita|btw|kvk|hrb"
    r"|abn|ein|roc|co(?:mpany)?\.?\s*(?:reg|no|rfg)|reg(?:istration)?\.?\s*(?:no|id)|br\s*no"
    r"|business\s*reg"
)
TITLES: Final = (
    r"(?:simplified\s+)?(?:tax\s+)?(?:invoice|receipt)|bill|cash\s*(?:sales?|bill|memo)?"
    r"|rechnung|quittung|kassenbon|beleg|facture|reçu|ticket|factura|recibo|fattura|ricevuta"
    r"|scontrino|factuur|kassabon|bon|statement|purchase\s+order|delivery\s+order|duplicate|copy"
)

# countries whose numeric dates put the day first, by their money, taxes and legal forms
DAY_FIRST_MARKS: Final = (
    r"[€£₹]|\b(?:RM|MYR|EUR|GBP|CHF|SGD|AUD|NZD|INR|SEK|NOK|DKK|PLN|CZK|ZAR|GST|VAT|MwSt|USt|TVA"
    r"|IVA|BTW|SDN\.?\s*BHD|S/B|GmbH|PTE\.?\s*LTD|PTY\.?\s*LTD|PLC|SARL|S\.?r\.?l|B\.V)(?!\w)"
)
MONTH_FIRST_MARKS: Final = (
    r"\b(?:USD|US\$|EIN|sales\s+tax|LLC|Inc)\b|\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]"
    r"|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s+\d{5}(?:-\d{4})?\b"
)

SUM_ROW: Final = (
    r"(?:grand|sub|net|gross|invoice|order|overall|running)?\s*-?\s*totals?|total\s+(?:amount|due"
    r"|general|général|complessivo|excl\w*|incl\w*|net|gross|ht|ttc|before\s+tax|after\s+tax)"
    r"|sum|summe|gesamt(?:summe|betrag)?|zwischensumme|endsumme|übertrag|somme|montant\s+total"
    r"|sous-total|importe\s+total|suma|totale|subtotale|importo\s+totale|totaal|subtotaal"
    r"|amount\s+due|balance(?:\s+due)?|(?:balance\s+)?(?:carried|brought)\s+forward"
    r"|(?:sales\s+)?tax|vat|gst|sst|mwst|ust|tva|iva|btw|discount|rabatt|remise|descuento|sconto"
)

TOTAL_LINE: Final = (
    r"total|totals|tot|ttl|tl|gesamt\w*|summe|totale|totaal|amount\s+due|balance\s+due|zu\s+zahlen"
    r"|à\s+payer|a\s+pagar|da\s+pagare|te\s+betalen|endbetrag|amt\s+due|nett?\s+am(?:oun)?t"
)
NOT_THE_TOTAL: Final = (
    r"sub\s*-?\s*t(?:ota)?l|zwischensumme|sous-total|subtotale|subtotaal|qty|quantity|items?|pcs|saving"
    r"|savings|saved|discount|points?|excl\w*|before|without|netto|total\s+(?:gst|tax|vat|sst)"
    r"|(?:gst|tax|vat)\s+total|ht|summary|disc|count|number"
)
FINAL_TOTAL: Final = (
    r"round(?:ed|ing)|payable|grand|nett?|due|after|incl\w*|inclusive|to\s+pay|zahlen|payer|pagar"
    r"|pagare|betalen|brutto|ttc|with"
)
PAID: Final = (
    r"cash|tender\w*|paid|payment|visa|master(?:card)?|amex|card|bar|gegeben|espèces|efectivo"
    r"|contanti|contant|credit|debit|received"
)
CHANGE: Final = r"change|rückgeld|rendu|monnaie|cambio|resto|wisselgeld"
TAX: Final = r"gst|vat|tax|sst|mwst|ust|tva|iva|btw|service\s+(?:charge|tax)|serv"
ROUNDING: Final = r"round(?:ing|ed)?|rnd|rundung|arrondi|redondeo|arrotondamento|afronding"
DATE_WORDS: Final = (
    r"date|dated|datum|fecha|data|le|mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer"
    r"|jeu|ven|sam|dim|receipt|invoice|bill|rechnung|facture|factura|fattura|factuur"
)
NOT_THE_PAPERS_DATE: Final = (
    r"due|expir\w*|valid|until|before|birth|deliver\w*|fällig|gültig|échéance|vencimiento|scadenza"
    r"|verval\w*|from|since|act|return\w*|best"
)
