"""Identity numbers and dates of birth behind their names, in the languages that name them."""

import re
from collections.abc import Iterator
from typing import Final

from foliotrace_detect.rule import Find, SensitiveKind, digits_of

_BETWEEN: Final = (
    r"(?:[\s:#=\"'()>|-]|(?i:numbers?|numéro|número|numero|nummer|no\b\.?|nr\b\.?|num\b|n\.?[°º]|n\.|is\b|card\b"
    r"|code\b|ist\b|es\b|lautet|番号|번호|号码|№)|\([A-Z]{2,3}\)"
    r"|(?i:(?:of the|of|del?|do|da|della|du|des?|der|van de|van) \w{3,16} )){1,8}"
)
_ID_NAME: Final = (
    r"(?:(?<![A-Za-z])(?:SIN|PAN|NIE|DNI|NIF|CPF|CNPJ|BSN|NINO?|AHV|PESEL|NHS|CURP|RFC\s?:|RG|CNIC"
    r"|NRIC|NIK|KTP|NPWP|TFN|IRD|PPSN?|CPR|CNP|EGN|JMBG|OIB|EM\u0160O|TAJ|CCCD|CMND|BVN|CUI[LT]"
    r"|RU[TN]"
    r"|DPI|SVNR|TCKN|T\.?C\.? ?(?:Kimlik|No)|NUSS|NISS|INSZ|NIR|TIN|SSS|UMID|MBI|MRN|EMBG|ABHA|VID)"
    r"|(?i:passports?|pass-?(?:nr|no|nummer)|reisepass(?:nummer)?|passeport|pasaporte|passaporto"
    r"|paszport\w*|paspoort\w*|national[ -]insurance|national[ -]id(?:entity)?|identity|identifi\w+"
    r"|codice[ -]fiscale|personnummer|personalausweis\w*|ausweis\w*|aadhaar|aadhar"
    r"|steuer-?(?:id(?:nr)?|identifikations\w+|nummer)|(?:sozial|renten)versicherungs\w+"
    r"|versichertennummer|tax[ -]?(?:file|id|payer)|social[ -]insurance|medicare|medicaid"
    r"|driver'?s?[ -]licen[cs]e|driving[ -]licen[cs]e|dl|f\u00fchrerschein\w*|rijbewijs"
    r"|permis de conduire"
    r"|(?:identity|id)[ -]card|carta d'identit\u00e0|carte (?:nationale )?d'identit\u00e9"
    r"|dow[o\u00f3]d\w*"
    r"|s\u00e9cu(?:rit\u00e9 sociale)?|c[e\u00e9]dula(?: de \w+)?|rodn\u00e9 \u010d\u00edslo"
    r"|henkil\u00f6tunnus"
    r"|f\u00f8dselsnummer|isikukood|asmens kodas|personas kods|mykad|teudat zehut|kimlik"
    r"|seguro social)"
    r"|身份[证證]|护照|護照|マイナンバー|個人番号|旅券|주민등록번호|여권|паспорт|ИНН|СНИЛС|РНОКПП|ЕГН|\u0391\u03a6\u039c|\u0391\u039c\u039a\u0391"
    r"|ת\.ז\.?|תעודת זהות|رقم الهوية|الرقم القومي|کد ملی|جواز السفر)"
)
_NAMED: Final = re.compile(rf"{_ID_NAME}{_BETWEEN}\Z")
_LONGEST_NAME: Final = 56
_VALUE: Final = re.compile(
    r"(?<![A-Za-z0-9./])(?:[A-Z]{1,6}-?)?\d(?:[ ./-]?[A-Z0-9]){4,17}(?![A-Za-z0-9])"
)


_PASSPORT: Final = re.compile(
    r"(?i:\b(?:passports?|reisepass(?:nummer)?|passeport|pasaporte|passaporto))" + _BETWEEN + r"\Z"
)
_PASSPORT_VALUE: Final = re.compile(
    r"(?<![A-Za-z0-9./])(?=(?:[A-Z]*\d){3})[A-Z0-9]{7,9}(?![A-Za-z0-9])"
)


class NamedIdentityNumbers:
    """A number in any spelling behind a name such as `DNI`: found by its digits, the rarer part."""

    kind = SensitiveKind.ID

    def finds(self, text: str) -> Iterator[Find]:
        """Numbers with such a name before them, at least half of them digits."""
        for match in _VALUE.finditer(text):
            value = "".join(filter(str.isalnum, match[0]))
            if 2 * len(digits_of(value)) < len(value) or len(digits_of(value)) < 5:
                continue
            if _NAMED.search(text, max(0, match.start() - _LONGEST_NAME), match.start()):
                yield Find(*match.span(), value)
        for match in _PASSPORT_VALUE.finditer(text):  # mostly letters in some countries
            if _PASSPORT.search(text, max(0, match.start() - _LONGEST_NAME), match.start()):
                yield Find(*match.span(), match[0])


_BIRTH_NAME: Final = re.compile(
    r"(?i:(?<![a-z])(?:date[ _-]?of[ _-]?birth|birth[ _-]?dates?|birthday|d\.?o\.?b\.?|born(?: on)?"
    r"|geb(?:urtsdatum|urtstag|oren(?: am)?|\.(?: am)?)|date de naissance|née?(?: le)?"
    r"|fecha de nacimiento"
    r"|nacid[oa](?: el)?|data di nascita|nat[oa](?: an? [^\W\d_]{2,20})? il"
    r"|data de nascimento|nascid[oa] em"
    r"|geboortedatum|födelsedatum|född|fødselsdato|født|syntymäaika|data urodzenia|ur\."
    r"|datum narození"
    r"|születési (?:dátum|idő)|doğum tarihi|дата рождения|дата народження)"
    r"|生年月日|出生日期|생년월일|تاريخ الميلاد|תאריך לידה)[\s:=\"'>|(,-]{1,6}\Z"
)
_MONTH: Final = (
    r"(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez|ene|fév|avr|ago|set|out|dic|gen"
    r"|mag|giu|lug|ott|fev|abr|maj|juin|juil|août|déc)[a-zéäû]*\.?"
)
_DATE: Final = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d[-./](?:0?[1-9]|1[0-2])[-./](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:(?:19|20)\d\d|\d\d)"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    r"|(?:昭和|平成|令和|大正) ?\d{1,2}年 ?\d{1,2}月 ?\d{1,2}日"
    r"|(?:19|20)\d\d年 ?\d{1,2}月 ?\d{1,2}日|(?:19|20)\d\d년 ?\d{1,2}월 ?\d{1,2}일"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.|er)?(?: de| of)? (?i:{_MONTH})(?: de)?,? (?:19|20)\d\d"
    rf"|(?i:{_MONTH}) \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d\d)(?!\d)"
)


class BirthDates:
    """A date behind words such as `date of birth`; every other date stays."""

    kind = SensitiveKind.BIRTH

    def finds(self, text: str) -> Iterator[Find]:
        """Such dates."""
        for match in _DATE.finditer(text):
            if _BIRTH_NAME.search(text, max(0, match.start() - _LONGEST_NAME), match.start()):
                yield Find(*match.span(), match[0])
