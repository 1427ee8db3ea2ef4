"""The ledger of a process: what its single writers know, held against reads and servers.

Users hand in every read of a single-writer key that is not the last acknowledged version; the
servers are asked, directly, what they have; what contradicts an acknowledgement is a finding. The
evidence is counted whole and kept by the first few, and leaves with the last report of the worker.

Rule: a finding needs the servers' word wherever they can be asked. Excuses that only the master can
see (a node that restarted, evicted or was flushed, keys that moved for a fault) are not applied
here: findings carry the node and the seconds for it.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.node import Node
from users.audit import About, Answer, Auditor, Question
from users.book import Book, Page
from users.bounds import Bounds
from users.findings import Findings
from users.spelling import Spelling
from users.values import version_of

MOVED_KEPT = 100  # the next reads take them up; more is no use
BEFORE = -1  # the second of what was acknowledged before the run
IN_VAIN = 20, 0.05  # so many, and such a share, of a single writer's own updates is no accident
OVERWRITTEN = 20, 0.5  # a node that comes back empty takes a few adds rightly
MOVING_S = 3  # a link is lost within so many seconds of a write that moved: its key may have too
FINAL_LIMIT_S = 3.0  # for all that is asked at the end: some 100,000 keys on an idle machine
FINAL_MOST_BYTES = 32 * 1024 * 1024  # values read at the end; large ones are looked at by sample


class Accounts:
    """Everything known about the single-writer keys of one process.

    `keys` are those of the ledger users with their books: any ledger user may read them. Of these,
    `held` are waiting for a server's word and must not be written meanwhile, `gone` are certainly
    not there any more, and `moved` were found on another node than their own: worth a read.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        locations: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.books: list[Book] = []
        self.keys: dict[str, Book] = {}
        self.order: list[str] = []  # the keys as a list, to draw from
        self.chains: set[str] = set()  # keys of cas chains, among `keys`
        self.counters: dict[str, Bounds] = {}
        self.value_bytes = 100  # of one value of the run, about
        self.updates = 0  # acknowledged
        self.expired = 0  # keys that were gone when their time was over
        self.adds_refused = 0  # of keys that are there
        self.adds_stored: Counter[str] = Counter()  # the same, by key: over what was there
        self.steps_done = 0  # of counters
        self.held: Counter[str] = Counter()  # how many questions about the key are open
        self.gone: set[str] = set()
        self.moved: deque[str] = deque(maxlen=MOVED_KEPT)
        self.is_ready = True  # False while ledger users still store their keys
        self.encodes_values = False  # the client stores them in a form of its own
        self.hides_keys = False  # the client stores them under names that nobody knows
        self.declares_moves = False  # the client says that it moves keys between nodes
        self.auditor = Auditor(nodes, self._is_right, self._settle, clock=clock)
        self._locations = locations
        self._clock = clock
        self._epoch: Callable[[], float] = lambda: math.inf
        self.findings = Findings()

    def open_book(self, writer: str) -> Book:
        """Give a new writer its book."""
        book = Book(writer)
        self.books.append(book)
        return book

    @property
    def spelling(self) -> Spelling:
        """How the client's keys are named on the servers."""
        return self.auditor.spelling

    @spelling.setter
    def spelling(self, spelling: Spelling) -> None:
        self.auditor.spelling = spelling

    def lost_before(self, key: str) -> None:
        """Note a key of the prefill that was acknowledged and that no server has."""
        self.findings.count("lost", "", BEFORE)
        what = "stored before the run and acknowledged, no server has it"
        self._keep("lost_write", key, what, {"node": "", "acknowledged_s": BEFORE})

    # During the run ------------------------------------------------------------------------------

    def start(self, epoch: Callable[[], float]) -> None:
        """Begin to ask the servers; `epoch` gives second 0 in the local clock."""
        self._epoch = epoch
        self.auditor.start()

    def wrote(self, book: Book, key: str) -> None:
        """Have an acknowledged write of a ledger user looked for on its node."""
        self._ask(About.WRITE, book, key, book.pages[key])

    def added(self, book: Book, key: str) -> None:
        """Take an add that was acknowledged although the key is there, as far as anybody knows.

        One that went to another node stored over nothing.
        """
        self.adds_stored[key] += 1
        self._ask(About.ADD, book, key, book.pages[key])

    def denied_step(self, key: str) -> None:
        """Take a step of a counter that was not there to move and was there to add."""
        self.findings.count("denied", self._locations.get(key, ""), self._second(self._clock()))
        self._keep("denied_step", key, "not there to be moved, and there to be added", {})

    def older_counter(self, key: str, what: str) -> None:
        """Note that the counter from before a new beginning was met again: a node has kept it."""
        home, at = self._locations.get(key, ""), self._second(self._clock())
        self.findings.count("older_counters", home, at)
        self._keep("older_counter", key, f"{what}, of before it began again", {})

    def look(self, book: Book, key: str, page: Page, value: object) -> None:
        """Take a read that did not begin like `page`, the key's page when the read began.

        `value` is a verified value, None for a miss, or whatever stands for a failure.
        """
        if value is None:
            if book.is_there(key, page, self._clock()):
                self._ask(About.MISS, book, key, page)
            elif key in self.keys and key not in self.held:
                self.gone.add(key)
            return
        if not isinstance(value, bytes) or page.version <= 0:
            return
        version = version_of(value, book.writer)
        if version is None:
            return
        if book.was_refused(key, version):
            self.wrong_update(key, f"version {version} is there, which was answered as not stored")
        elif version >= page.version:
            book.agreed += 1
        elif not book.may_be_seen(key, version):
            self._ask(About.STALE, book, key, page, stale=version)

    def denied(self, book: Book, key: str, page: Page) -> None:
        """Take a delete's "not found" for a key that was certainly there by `page`."""
        self._ask(About.MISS, book, key, page)

    def wrong_update(self, key: str, what: str) -> None:
        """Note an update that was lost, or happened although it must not have."""
        self.findings.wrong_updates += 1
        self._keep("lost_update", key, what, {})

    def outlived(self, key: str, what: str) -> None:
        """Note a key that was still there long after its time was over."""
        self.findings.outlived += 1
        self._keep("outlived", key, f"stored for a second, {what}", {})

    # What the servers say ------------------------------------------------------------------------

    def _ask(self, about: About, book: Book, key: str, page: Page, stale: int = 0) -> None:
        now = self._clock()
        if self.hides_keys:
            self._unanswered(Question(about, key, "", page.version, now, (book, page, stale)))
            return
        home = self._locations.get(key, "")
        context = (book, page, stale)
        question = Question(about, key, home, page.version, now, context)
        if not self.auditor.ask(question):
            self.findings.unasked += 1
        elif key in self.keys:
            self.held[key] += 1

    def _is_right(self, question: Question, value: bytes) -> bool:
        if question.about is About.COUNT:
            return value.strip().isdigit() and self.counters[question.key].is_current(int(value))
        book: Book = question.context[0]
        version = version_of(value, book.writer)
        if version is None:
            return self.encodes_values  # that it is there is all that can be said
        return version >= question.version or book.may_be_seen(question.key, version)

    def _settle(self, question: Question, answer: Answer) -> None:
        self._release(question.key)
        if question.about is About.COUNT:
            self._counted(question, answer)
            return
        book, page, _ = question.context
        found = None if answer.value is None else version_of(answer.value, book.writer)
        if answer.where not in ("", question.home):
            self._moved(question, page)
        if question.about is About.MISS:
            self._missed(question, answer, found)
        if question.about is About.STALE and self._shows_stale(question, answer, found):
            self._stale_read(question, answer.where or "none")
        elif not answer.where and book.is_there(question.key, page, self._clock()):
            self._lost_write(question, page, found)
        if not answer.where:
            book.lost(question.key, page)
            if answer.value is None and question.key in self.keys:
                self.gone.add(question.key)

    def _moved(self, question: Question, page: Page) -> None:
        """Note an acknowledged version that is on another node than the key's own."""
        self.findings.count("moved", question.home, self._second(page.since))
        if question.key in self.keys:
            self.moved.append(question.key)
        if question.about is About.ADD:
            self.adds_stored[question.key] -= 1

    def _release(self, key: str) -> None:
        if self.held[key] > 1:
            self.held[key] -= 1
        else:
            del self.held[key]

    def _shows_stale(self, question: Question, answer: Answer, found: int | None) -> bool:
        """Tell whether the acknowledged version is on a server, if only a moment later.

        One that nobody has was lost, or has gone since: whatever else is there now does not prove
        the read wrong. After a delete there is nothing to look for.
        """
        book, page, _ = question.context
        held = [version_of(value, book.writer) or 0 for value in answer.held.values()]
        if max(held, default=0) > question.version:
            return False  # written over since, and so may be what was read
        unread = self.encodes_values and found is None and bool(answer.where)
        return page.is_deleted or found == question.version or unread

    def _missed(self, question: Question, answer: Answer, found: int | None) -> None:
        """Judge a miss: masked when the very version was on its node all the time."""
        at = (question.home, self._second(question.asked_at))
        unread = self.encodes_values and found is None
        if answer.where == question.home and (unread or found == question.version):
            self.findings.count("masked", *at)
            what = f"a miss, while {question.home} has " + ("it" if unread else f"version {found}")
            self._keep("masked_miss", question.key, what, {"read_s": at[1]})
        elif question.was_out and not answer.where:
            self.findings.count("unproven", *at)

    def _stale_read(self, question: Question, where: str) -> None:
        """Count a read of an older version, by whether another node than `where` still holds it.

        Only while nobody writes the key can it be said that none does.
        """
        _, page, stale = question.context
        copies = self._copies(question, where, stale)
        at = question.home, self._second(question.asked_at)
        more = {"acknowledged_s": self._second(page.since), "newer_on": where, "read_s": at[1]}
        kind = "stale_read"
        if copies:
            kind = "left_over"
            self.findings.count(kind, *at)
            if question.where:
                self.findings.count("moved", *at)  # one of the two versions was stored elsewhere
            more["held_by"] = ", ".join(copies)
        elif where and question.key in self.keys:
            self.findings.stale += 1
        else:
            self.findings.count("stale_unsure", *at)
        what = f"version {stale} was read after {page.version} was acknowledged"
        self._keep(kind, question.key, what, more)

    def _copies(self, question: Question, where: str, version: int) -> list[str]:
        """Return the nodes besides `where` that hold a version, or a form that nobody can read."""
        writer = question.context[0].writer
        found = {n: version_of(v, writer) for n, v in question.held.items() if n != where}
        return [n for n, held in found.items() if held == version or held is None]

    def _lost_write(self, question: Question, page: Page, found: int | None) -> None:
        there = "nothing" if found is None else f"version {found}"
        what = f"version {page.version} was acknowledged, the servers have {there}"
        since = self._second(page.since)
        has_stayed = not self._has_moved(question.key, since)
        if question.key in self.chains and found is not None and has_stayed:
            self.wrong_update(question.key, f"cas: {what}")  # a key that is gone begins a new chain
            return
        self.findings.count("lost", question.home, since)
        self._keep("lost_write", question.key, what, {"acknowledged_s": since})

    def _counted(self, question: Question, answer: Answer) -> None:
        """Hold what servers have of a counter against its bounds."""
        if answer.where and answer.value is not None:
            wrong = self.counters[question.key].seen(int(answer.value))
            if wrong:
                self.wrong_update(question.key, f"the server has {wrong}")
        # Else it is gone with its node, or not a number: wrong values are another matter.
        elif any(value.strip().isdigit() for value in answer.held.values()):
            self.older_counter(question.key, "at the end servers have only one")

    def _keep(self, kind: str, key: str, what: str, more: Mapping[str, Any]) -> None:
        node, at_s = self._locations.get(key, ""), self._second(self._clock())
        detail = {"kind": kind, "key": key, "node": node, "what": what, "at_s": at_s, **more}
        self.findings.keep(detail)

    def _second(self, at: float) -> int:
        epoch = self._epoch()
        return -1 if epoch == math.inf else math.floor(at - epoch)

    # The end -------------------------------------------------------------------------------------

    def finish(self, limit_s: float = FINAL_LIMIT_S) -> dict[str, Any]:
        """Ask for everything that must be there, and give what came of the run, in plain types.

        The load has stopped. Takes `limit_s` at most.
        """
        epoch = self._epoch()
        if epoch != math.inf:
            if not self.hides_keys:
                self._ask_for_all(epoch)
            self.auditor.finish(limit_s)
        self.auditor.stop()
        for question in self.auditor.waiting():
            self._unanswered(question)
        self._judge_updates_in_vain()
        found = self.findings
        told = found.stale + found.total("left_over", "stale_unsure")
        return {
            **found.report(),
            "writes": sum(book.writes for book in self.books),
            "updates": self.updates,
            "steps": self.steps_done,
            "reads": sum(book.agreed for book in self.books) + told,
            "hides_keys": self.hides_keys,
            "declares_moves": self.declares_moves,
            "expired": self.expired,
        }

    def stop(self) -> None:
        """End without a word."""
        self.auditor.stop()

    def _ask_for_all(self, epoch: float) -> None:
        """Ask for every key that was written in this run and has not expired, and every counter."""
        now = self._clock()
        pending = {question.key for question in self.auditor.waiting()}
        left = FINAL_MOST_BYTES
        for key, bounds in self.counters.items():
            home = self._locations.get(key, "")
            if bounds.value is not None:
                question = Question(About.COUNT, key, home, 0, now)
                self.auditor.ask(question, however_many=True)
        for book in self.books:
            for key, page in book.pages.items():
                if page.since < epoch or key in pending or not book.is_there(key, page, now):
                    continue
                left -= self.value_bytes
                if left < 0:
                    return
                home = self._locations.get(key, "")
                context = (book, page, 0)
                question = Question(About.WRITE, key, home, page.version, now, context)
                self.auditor.ask(question, however_many=True)

    def _judge_updates_in_vain(self) -> None:
        """Convict a client that refuses updates again and again though nothing stands against them.

        These are links of a chain that are answered no with the token just read. And one that adds
        over what is there.
        """
        links = [key for book in self.books for key in book.links_in_vain.elements()]
        stored = sum(book.links_stored for book in self.books)
        adds = [*self.adds_stored.elements()]
        for keys, done, (least, share), what in (
            (links, stored, IN_VAIN, "cas: {} of {} links refused, each with a token just read"),
            (adds, self.adds_refused, OVERWRITTEN, "add: {} of {} stored over what was there"),
        ):
            if len(keys) >= max(least, share * (len(keys) + done)):
                for key in dict.fromkeys(keys):
                    self.wrong_update(key, what.format(len(keys), len(keys) + done))

    def _has_moved(self, key: str, at_s: int) -> bool:
        """Tell whether writes of the key's node went to another one at about that second."""
        moved = self.findings.seconds("moved", self._locations.get(key, ""))
        return any(abs(second - at_s) <= MOVING_S for second in moved)

    def _unanswered(self, question: Question) -> None:
        """Judge by the read alone what no server could be asked about."""
        if question.about is About.STALE:
            self._stale_read(question, question.where)
        elif question.about is About.MISS:
            at = question.home, self._second(question.asked_at)
            self.findings.count("unproven", *at)
        else:
            self.findings.unasked += 1
