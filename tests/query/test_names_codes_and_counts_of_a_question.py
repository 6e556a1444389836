"""Names that the document holds, codes of one document, counts of the asked thing, labelled lines.

Texts are invented for their rule, in the forms of reports, filings, invoices and mails.
"""

import pytest
from tests.query.query_stack import QueryStack

from foliotrace.query.answer.quoted import NOT_STATED

pytestmark = pytest.mark.anyio

REFUSED = (NOT_STATED, "The documents do not answer")
OTHER = "The bakery sells bread, rolls and cake in a shop beside the mill."
BOARD = "The Maritime Safety Office finds the likely cause of this event to be: "


# --- names that the document holds elsewhere ---------------------------------------------------


def event(place: str, vessel: str, cause: str) -> str:
    return (
        f"Maritime Safety Office Final Report\nPlace:\t{place}\nVessel:\t{vessel}\n\n"
        f"Findings\n\nThe master steered by hand in the evening.\n\n{BOARD}{cause}"
    )


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What did the MSO say was the likely cause of the Delta 40 event in Port Ellen?", "reef"),
        ("What was the likely cause of the Corvina event in Grey Bay?", "rudder"),
        ("What did the Maritime Safety Office find to be the likely cause in Grey Bay?", "rudder"),
        ("What was the likely cause of the event of the Delta in Port Ellen?", "reef"),
    ],
)
async def test_a_name_that_the_document_states_elsewhere_is_held(
    stack: QueryStack, question: str, answer: str
) -> None:
    await stack.serve(
        event("Port Ellen", "Delta 40", "The master's late sight of the reef."), name="a.txt"
    )
    await stack.serve(
        event("Grey Bay", "Corvina 12", "The owner's neglect of the rudder."), name="b.txt"
    )
    found = await stack.ask(question)
    assert not found.text.startswith(REFUSED)
    assert answer in found.citations[0].quote


async def test_a_name_that_only_another_document_holds_is_not_held(stack: QueryStack) -> None:
    await stack.serve(
        event("Port Ellen", "Delta 40", "The master's late sight of the reef."), name="a.txt"
    )
    await stack.serve("Place:\tGrey Bay\nVessel:\tCorvina 12\n\nNothing was found.", name="b.txt")
    found = await stack.ask("What was the likely cause of the Corvina 12 event in Grey Bay?")
    assert found.text.startswith(REFUSED) or not any(
        "reef" in citation.quote for citation in found.citations
    )


# --- other words for the asked relation --------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "How much did Acme spend buying back its own shares in 2022?",
            "Acme repurchased $21.7 million of its common stock during 2022.",
        ),
        (
            "How much did Acme spend on share buybacks in 2022?",
            "During 2022 Acme repurchased common stock for $21.7 million.",
        ),
        (
            "How many ovens did Acme hand over in 2022?",
            "In 2022 Acme delivered 480 ovens to bakers in four towns.",
        ),
        (
            "What yearly fixed pay was Ada Lane promised, at minimum?",
            "Ada Lane is entitled to an annual base salary of not less than $1,300,000.",
        ),
        (
            "How many people did Acme take on in 2022?",
            "Acme hired 310 employees in 2022.",
        ),
        (
            "How many people did Acme lay off in 2022?",
            "In 2022 Acme terminated 210 employees in a reduction in force.",
        ),
        (
            "Where is the head office of Acme?",
            "The principal executive offices of Acme are located at 12 Mill Lane, Zenda.",
        ),
        (
            "Who is the boss of Acme?",
            "The Chief Executive Officer of Acme is Ada Lane.",
        ),
        (
            "How much rent does Acme owe?",
            "As of May 2, rent payable by Acme was $4.1 million.",
        ),
    ],
)
async def test_everyday_words_are_stated_by_those_of_documents(
    stack: QueryStack, question: str, text: str
) -> None:
    await stack.serve(text, name="acme.txt")
    await stack.serve(OTHER, name="other.txt")
    found = await stack.ask(question)
    assert found.text.startswith(f"\u201c{text}")


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "How much did Acme spend buying back its own shares in 2022?",
            "Acme paid dividends of $3.8 million on its common stock during 2022.",
        ),
        (
            "What yearly fixed pay was Ada Lane promised, at minimum?",
            "Ada Lane is entitled to an annual bonus of not less than $1,300,000.",
        ),
        (
            "How much rent does Acme owe?",
            "As of May 2, taxes payable by Acme were $4.1 million.",
        ),
        (
            "How many people did Acme lay off in 2022?",
            "Acme hired 310 employees in 2022.",
        ),
    ],
)
async def test_another_relation_stays_unstated(stack: QueryStack, question: str, text: str) -> None:
    await stack.serve(text, name="acme.txt")
    await stack.serve(OTHER, name="other.txt")
    assert (await stack.ask(question)).text.startswith(REFUSED)


# --- the asked form ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "How many commercial planes did Acme deliver in 2022?",
            "Acme's family of commercial planes to deliver includes the 737 and the 767, 777"
            " and 787 models.",
        ),
        (
            "How many aircraft does Acme operate?",
            "Acme operates the 747 aircraft and the A320 aircraft on routes to Zenda.",
        ),
        (
            "How many tractors did Acme sell?",
            "Acme's Model 40 tractors are sold in four towns; Note 12 is on what Acme sold.",
        ),
        (
            "How many patients did the Zenda clinic treat?",
            "The Zenda clinic treats patients in 12 rooms.",
        ),
        (
            "Who signed the lease of the Zenda mill?",
            "The lease of the Zenda mill was signed in the town hall.",
        ),
        (
            "When was the lease of the Zenda mill signed?",
            "The lease of the Zenda mill was signed by both sides.",
        ),
        (
            "Where was the lease of the Zenda mill signed?",
            "The lease of the mill was signed by both sides with care.",
        ),
    ],
)
async def test_an_answer_without_a_value_of_the_asked_form_is_nearest_at_best(
    stack: QueryStack, question: str, text: str
) -> None:
    await stack.serve(text, name="acme.txt")
    await stack.serve(OTHER, name="other.txt")
    assert (await stack.ask(question)).text.startswith(REFUSED)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "How many commercial planes did Acme deliver in 2022?",
            "In 2022 Acme delivered 480 commercial planes, most of them of the 737 family.",
        ),
        (
            "How many tractors did Acme sell in 2022?",
            "The number of tractors that Acme sold in 2022 was 1,412.",
        ),
        (
            "How many patients did the Zenda clinic treat in 2022?",
            "In 2022 the Zenda clinic treated approximately 640 new and returning patients.",
        ),
        (
            "How many stores did Acme operate in 2022?",
            "Stores that Acme operated in 2022 totaled 95.",
        ),
        (
            "Who signed the lease of the Zenda mill?",
            "The lease of the Zenda mill was signed by Ada Lane.",
        ),
        (
            "Where was the lease of the Zenda mill signed?",
            "The lease of the Zenda mill was signed in the town hall of Strelsau.",
        ),
    ],
)
async def test_a_value_of_the_asked_form_answers(
    stack: QueryStack, question: str, text: str
) -> None:
    await stack.serve(text, name="acme.txt")
    await stack.serve(OTHER, name="other.txt")
    assert (await stack.ask(question)).text.startswith(f"\u201c{text}")


@pytest.mark.parametrize(
    ("question", "stated"),
    [
        ("How much rent did Acme pay in the quarter ended September 30, 2023?", False),
        ("How much rent did Acme pay in the quarter ended June 24, 2023?", False),
        ("What rent did Acme pay for the three months ended April 1, 2023, how much?", False),
        ("How much rent was paid by Acme in the quarter ended July 1, 2023?", True),
    ],
)
async def test_an_amount_of_another_date_is_not_the_answer(
    stack: QueryStack, question: str, stated: bool
) -> None:
    await stack.serve("In the three months ended July 1, 2023, Acme paid rent of $3.3 million.")
    await stack.serve(OTHER, name="other.txt")
    assert (await stack.ask(question)).text.startswith(REFUSED) is not stated


# --- codes -------------------------------------------------------------------------------------


def log(code: str, hours: str) -> tuple[str, str]:
    return (
        f"Voyage log\nCase Number:\t{code}\n\nA short voyage in calm weather.",
        f"Crew\n\nThe master reported a total time at sea of {hours} hours on such vessels.",
    )


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many total hours at sea did the master in case PEL22MA007 report?", "2,319 hours"),
        ("How many total hours at sea did the master in case GRB21FA019 report?", "119 hours"),
        ("How many hours at sea did the master report in grb21fa019?", "119 hours"),
        ("PEL22MA007: how many total hours at sea did the master report?", "2,319 hours"),
    ],
)
async def test_a_code_restricts_the_answer_to_its_document(
    stack: QueryStack, question: str, answer: str
) -> None:
    await stack.serve(*log("PEL22MA007", "2,319"), name="a.txt")
    await stack.serve(*log("GRB21FA019", "119"), name="b.txt")
    found = await stack.ask(question)
    assert answer in found.text
    assert len({citation.document_id for citation in found.citations}) == 1


@pytest.mark.parametrize(
    "question",
    [
        "How many total hours at sea did the master in case PEL22MA008 report?",
        "How many total hours at sea did the master report under INV-2024-0815?",
        "What is the total time at sea of the master in report DEN08WA042?",
        "How many hours at sea did the master of case no. 4711-22 report?",
    ],
)
async def test_a_code_that_no_document_holds_is_refused(stack: QueryStack, question: str) -> None:
    await stack.serve(*log("PEL22MA007", "2,319"), name="a.txt")
    await stack.serve(*log("GRB21FA019", "119"), name="b.txt")
    found = await stack.ask(question)
    assert not found.citations


async def test_a_document_with_the_code_but_not_the_answer_gives_none(stack: QueryStack) -> None:
    await stack.serve(*log("PEL22MA007", "2,319"), name="a.txt")
    await stack.serve("Voyage log\nCase Number:\tGRB21FA019\n\nA short voyage.", name="b.txt")
    found = await stack.ask("How many total hours at sea did the master in GRB21FA019 report?")
    assert found.text.startswith(REFUSED)
    assert "2,319" not in found.text


# --- labelled lines ----------------------------------------------------------------------------

MAIL = (
    "Bread for Monday\n\nFrom: Ada Lane <ada@example.com>\nTo: mill@example.org\n"
    "Cc: town@example.net\nSubject: Bread for Monday\nDate: 2024-12-22T08:23:00+00:00\n\n"
    "Please send flour for forty loaves."
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("From which address was the 'Bread for Monday' e-mail sent?", "ada@example.com"),
        ("Who sent the email 'Bread for Monday'?", "Ada Lane"),
        ("To whom was the 'Bread for Monday' message addressed?", "mill@example.org"),
        ("When was the 'Bread for Monday' mail sent?", "2024-12-22"),
        ("Who was copied on the email 'Bread for Monday'?", "town@example.net"),
        ("Which address did the message 'Bread for Monday' come from?", "ada@example.com"),
    ],
)
async def test_a_labelled_line_states_what_its_label_says(
    stack: QueryStack, question: str, answer: str
) -> None:
    await stack.serve(MAIL, name="bread.eml")
    await stack.serve(OTHER, name="other.txt")
    found = await stack.ask(question)
    assert not found.text.startswith(REFUSED)
    assert answer in found.text


@pytest.mark.parametrize(
    "question",
    [
        "From which address was the 'Cake for Sunday' e-mail sent?",
        "Who was blind copied on the email 'Bread for Monday'?",
        "How many attachments does the email 'Bread for Monday' have?",
    ],
)
async def test_a_line_of_another_mail_or_label_states_nothing(
    stack: QueryStack, question: str
) -> None:
    await stack.serve(MAIL, name="bread.eml")
    await stack.serve(OTHER, name="other.txt")
    assert (await stack.ask(question)).text.startswith(REFUSED)
