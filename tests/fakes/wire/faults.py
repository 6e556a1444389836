"""Faults by name, and the plan that says which request meets which.

A transport fault changes what happens on the wire; a behaviour (`job_failed`, `partial`,
`zero_chunks`, `wrong_citations` ...) is read by the endpoint that does the work.
"""

import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. Build one through the class attributes and factories below."""

    kind: str
    status: int = 0
    detail: str = ""
    retry_after: str | None = None
    seconds: float = 0.0
    amount: int = 0
    pages: tuple[int, ...] = ()
    on_wire: bool = True

    unauthorized: ClassVar["Fault"]
    payment_required: ClassVar["Fault"]
    forbidden: ClassVar["Fault"]
    not_found: ClassVar["Fault"]
    conflict: ClassVar["Fault"]
    unprocessable: ClassVar["Fault"]
    server_error: ClassVar["Fault"]
    unavailable: ClassVar["Fault"]
    html: ClassVar["Fault"]
    empty_object: ClassVar["Fault"]
    garbage: ClassVar["Fault"]
    truncated_json: ClassVar["Fault"]
    cut_body: ClassVar["Fault"]
    reset_before_work: ClassVar["Fault"]
    reset_after_work: ClassVar["Fault"]
    hang: ClassVar["Fault"]
    hang_after_work: ClassVar["Fault"]
    never_finishes: ClassVar["Fault"]
    job_failed: ClassVar["Fault"]
    job_cancelled: ClassVar["Fault"]
    zero_chunks: ClassVar["Fault"]

    @staticmethod
    def http(status: int, detail: str = "", *, retry_after: float | str | None = None) -> "Fault":
        """Answer `status` instead of working."""
        after = None if retry_after is None else str(retry_after)
        return Fault("status", status=status, detail=detail, retry_after=after)

    @staticmethod
    def rate_limited(retry_after: float | str | None = 1) -> "Fault":
        """Answer 429. `retry_after` is seconds or an HTTP date; None sends no header."""
        return Fault.http(429, "Rate limit exceeded", retry_after=retry_after)

    @staticmethod
    def slow_first_byte(seconds: float) -> "Fault":
        """Work at once, then wait `seconds` before the status line."""
        return Fault("slow_first_byte", seconds=seconds)

    @staticmethod
    def slow_body(seconds: float, pieces: int = 10) -> "Fault":
        """Send the headers at once and drip the body in `pieces` over `seconds`."""
        return Fault("slow_body", seconds=seconds, amount=pieces)

    @staticmethod
    def partial(*pages: int) -> "Fault":
        """The job ends COMPLETED with these pages failed (1-based)."""
        return Fault("partial", pages=pages, on_wire=False)

    @staticmethod
    def slow_job(polls: int) -> "Fault":
        """The job needs `polls` status reads to finish."""
        return Fault("slow_job", amount=polls, on_wire=False)

    @staticmethod
    def behaviour(kind: str, *, amount: int = 0, seconds: float = 0.0, detail: str = "") -> "Fault":
        """A behaviour that the endpoint itself acts out."""
        return Fault(kind, amount=amount, seconds=seconds, detail=detail, on_wire=False)

    @staticmethod
    def named(name: str, **arguments: float | str | None) -> "Fault":
        """The fault called `name`, for the control API. Raises ValueError for an unknown name."""
        found = getattr(Fault, name, None)
        if name.startswith("_") or name == "named" or found is None:
            raise ValueError(f"no fault is called {name!r}")
        if isinstance(found, Fault):
            return found
        made = found(*arguments.pop("pages", ()), **arguments)  # type: ignore[misc]
        if not isinstance(made, Fault):
            raise ValueError(f"no fault is called {name!r}")
        return made


Fault.unauthorized = Fault.http(401, "Invalid API Key")
Fault.payment_required = Fault.http(402, "Out of credits")
Fault.forbidden = Fault.http(403, "Forbidden")
Fault.not_found = Fault.http(404, "Not Found")
Fault.conflict = Fault.http(409, "Conflict")
Fault.unprocessable = Fault.http(422, "Unprocessable")
Fault.server_error = Fault.http(500, "Internal Server Error")
Fault.unavailable = Fault.http(503, "Service Unavailable")
Fault.html = Fault("html")
Fault.empty_object = Fault("empty_object")
Fault.garbage = Fault("garbage")
Fault.truncated_json = Fault("truncated_json")
Fault.cut_body = Fault("cut_body")
Fault.reset_before_work = Fault("reset_before_work")
Fault.reset_after_work = Fault("reset_after_work")
Fault.hang = Fault("hang")
Fault.hang_after_work = Fault("hang_after_work")
Fault.never_finishes = Fault("never_finishes", on_wire=False)
Fault.job_failed = Fault("job_failed", detail="The document could not be processed", on_wire=False)
Fault.job_cancelled = Fault("job_cancelled", on_wire=False)
Fault.zero_chunks = Fault("zero_chunks", on_wire=False)


@dataclass
class Planned:
    """One line of the plan: which requests meet `fault`, and how often it has happened."""

    endpoint: str
    fault: Fault
    times: int | None
    skip: int
    pattern: str
    probability: float
    chance: random.Random
    key: str | None
    seen: int = 0
    fired: int = 0

    def meets(self, endpoint: str, key: str) -> bool:
        """Whether this request meets the fault; counts it when it does."""
        if not fnmatchcase(endpoint, self.endpoint) or self.key not in (None, key):
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        turn = self.seen
        self.seen += 1
        if turn < self.skip:
            return False
        if self.pattern and self.pattern[(turn - self.skip) % len(self.pattern)] != "x":
            return False
        if self.chance.random() >= self.probability:
            return False
        self.fired += 1
        return True


@dataclass
class FaultPlan:
    """Every planned fault, asked in the order of planning."""

    endpoints: frozenset[str]
    lines: list[Planned] = field(default_factory=list)

    def add(
        self,
        endpoint: str,
        fault: Fault,
        *,
        times: int | None = None,
        skip: int = 0,
        pattern: str = "",
        probability: float = 1.0,
        seed: int = 0,
        key: str | None = None,
    ) -> Planned:
        """Plan `fault` for `endpoint` ("POST /api/v2/parse"; `*` is a wildcard).

        `skip` lets the first requests through, `times` ends it after so many faults, `pattern`
        repeats ("..x" = every third request fails, a flapping service), `probability` draws from
        `seed`, `key` restricts it to one client key. Raises ValueError if no endpoint matches.
        """
        if not any(fnmatchcase(known, endpoint) for known in self.endpoints):
            raise ValueError(f"{endpoint!r} matches none of {sorted(self.endpoints)}")
        chance = random.Random(seed)
        line = Planned(endpoint, fault, times, skip, pattern, probability, chance, key)
        self.lines.append(line)
        return line

    def meet(self, endpoint: str, key: str) -> tuple[Fault | None, tuple[Fault, ...]]:
        """The first wire fault and all behaviours that this request meets."""
        wire: Fault | None = None
        behaviours: list[Fault] = []
        for line in list(self.lines):
            if line.fault.on_wire and wire is not None:
                continue
            if not line.meets(endpoint, key):
                continue
            if line.fault.on_wire:
                wire = line.fault
            else:
                behaviours.append(line.fault)
        return wire, tuple(behaviours)

    def clear(self) -> None:
        """Everything works again."""
        self.lines.clear()
