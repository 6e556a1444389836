"""XML by its structure: fields, records, prose. No entity is expanded, nothing is fetched."""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.structure import Node, elements
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage

_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}"
_SHORT = 100  # characters of attributes that stand behind the value they belong to
_ENDS_EARLY = (etree.ErrorTypes.ERR_DOCUMENT_END, etree.ErrorTypes.ERR_TAG_NOT_FINISHED)


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The document as sections."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        with path.open("rb") as file:
            root = etree.parse(file, parser).getroot()
    except etree.XMLSyntaxError as error:
        if getattr(error, "code", None) in _ENDS_EARLY:
            raise Refusal(ErrorCode.FILE_TRUNCATED, "its XML ends early") from error
        raise Refusal(ErrorCode.FILE_MALFORMED, "it is not well-formed XML") from error
    yield from paginate(elements(_node(root)))


def _node(element: etree._Element) -> Node:
    name = str(etree.QName(element).localname)
    children = [child for child in element if isinstance(child.tag, str)]
    attributes = [
        Node(str(etree.QName(key).localname), " ".join(str(value).split()))
        for key, value in element.attrib.items()
        if str(value).strip() and not str(key).startswith(_SCHEMA)
    ]
    if _is_prose(element, children):
        text = " ".join("".join(str(piece) for piece in element.itertext()).split())
        return Node("", text, is_prose=True)
    own = " ".join((element.text or "").split())
    if not children and own:
        noted = ", ".join(f"{attribute.name}: {attribute.text}" for attribute in attributes)
        if len(noted) <= _SHORT:
            return Node(name, f"{own} ({noted})" if noted else own)
        return Node(name, own, attributes)
    if not children:
        return Node(name, "", attributes)
    return Node(name, "", [*attributes, *(_node(child) for child in children)])


def _is_prose(element: etree._Element, children: list[etree._Element]) -> bool:
    """Whether text stands between or beside the children."""
    if not children:
        return False
    return any(text and text.strip() for text in (element.text, *(c.tail for c in children)))


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
