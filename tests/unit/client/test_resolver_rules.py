"""The resolver on a clock of the test's own: what it asks, how often, and what serves meanwhile."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.addresses import parse_address
from client.errors import ConnectTimeout, OutOfResources, Unreachable
from client.resolver import ABANDON_S, RETRY_S, UNANSWERED_MAX, Resolver, SocketAddress

KEEP_S = 1.0
GRACE_S = 60.0
OLD = (socket.AF_INET, ("10.0.0.1", 1))
NEW = (socket.AF_INET, ("10.0.0.2", 1))
TRY_AGAIN = socket.gaierror(socket.EAI_AGAIN, "the name server does not answer")
GONE = socket.gaierror(socket.EAI_NONAME, "no such name")


class World:
    """A name server that says `answer`, a clock, and look-ups that run when the test says so."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.now = 1000.0
        self.answer: list[SocketAddress] | Exception = [OLD]
        self.asked = 0
        self.at_once = at_once
        self.under_way: list[Callable[[], None]] = []
        self.resolver = Resolver(
            parse_address("cache:1"),
            keep_s=KEEP_S,
            grace_s=GRACE_S,
            clock=lambda: self.now,
            look_up=self._look_up,
            start=self._start,
        )

    def _look_up(self, host: str, port: int) -> Iterable[SocketAddress]:
        assert (host, port) == ("cache", 1)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def _start(self, run: Callable[[], None]) -> None:
        self.asked += 1
        if self.at_once:
            run()
        else:
            self.under_way.append(run)

    def addresses(self, timeout: float = 0.0) -> tuple[SocketAddress, ...]:
        return self.resolver.addresses(timeout)


@pytest.mark.parametrize(
    ("given", "fixed"),
    [
        (("127.0.0.1", 7), (socket.AF_INET, ("127.0.0.1", 7))),
        (("::1", 7), (socket.AF_INET6, ("::1", 7, 0, 0))),
        ("/run/m.sock", (socket.AF_UNIX, "/run/m.sock")),
    ],
    ids=["v4", "v6", "path"],
)
def test_numbers_and_paths_are_never_asked_for(given: object, fixed: SocketAddress) -> None:
    """They are nobody's name."""

    def never(host: str, port: int) -> list[SocketAddress]:
        raise AssertionError((host, port))

    resolver = Resolver(parse_address(given), keep_s=1, grace_s=1, look_up=never)
    assert resolver.addresses(0.0) == resolver.current_addresses() == (fixed,)


def test_an_answer_serves_for_keep_s_and_a_change_is_followed_then() -> None:
    """Within keep_s nobody asks again; after it, the next connection uses the new address."""
    world = World()
    assert world.addresses() == (OLD,)
    world.answer = [NEW, NEW]
    world.now += KEEP_S - 0.01
    assert world.addresses() == (OLD,)
    assert world.asked == 1
    world.now += 0.02
    assert world.addresses() == (NEW,)
    assert world.asked == 2


def test_many_callers_share_one_look_up() -> None:
    """A storm starts one thread, whoever is waiting."""
    world = World(at_once=False)
    for _ in range(100):
        with pytest.raises(ConnectTimeout, match="not resolved within"):
            world.addresses()
        assert world.resolver.current_addresses() == ()
    assert world.asked == 1
    world.under_way.pop()()
    assert world.addresses() == world.resolver.current_addresses() == (OLD,)


def test_current_addresses_refresh_in_the_background() -> None:
    """They are given as they are known, and asked for when older than keep_s."""
    world = World(at_once=False)
    assert world.resolver.current_addresses() == ()
    world.under_way.pop()()
    world.now += KEEP_S
    world.answer = [NEW]
    assert world.resolver.current_addresses() == (OLD,)
    assert world.asked == 2
    world.under_way.pop()()
    assert world.resolver.current_addresses() == (NEW,)


def test_a_dead_name_server_does_not_take_the_node_away() -> None:
    """While look-ups fail the last addresses serve, for as long as the grace lasts, no longer."""
    world = World()
    assert world.addresses() == (OLD,)
    world.answer = TRY_AGAIN
    known_until = world.now + KEEP_S + GRACE_S
    while world.now < known_until - 10:
        world.now += 10
        assert world.addresses() == world.resolver.current_addresses() == (OLD,)
    world.now = known_until
    assert world.resolver.current_addresses() == ()
    with pytest.raises(Unreachable, match="does not resolve") as refusal:
        world.addresses()
    assert refusal.value.__cause__ is TRY_AGAIN
    world.answer = [NEW]
    world.now += RETRY_S
    assert world.addresses() == (NEW,)


@pytest.mark.parametrize("gone", [GONE, []], ids=["no such name", "no address"])
def test_a_name_that_does_not_exist_is_forgotten(gone: list[SocketAddress] | Exception) -> None:
    """The name server works and says so: the address may be another's by now."""
    world = World()
    assert world.addresses() == (OLD,)
    world.answer = gone
    world.now += KEEP_S
    with pytest.raises(Unreachable, match="does not resolve"):
        world.addresses()
    assert world.resolver.current_addresses() == ()


def test_a_failed_look_up_is_not_repeated_at_once() -> None:
    """A storm of callers asks a failing name server a few times a second."""
    world = World()
    world.answer = TRY_AGAIN
    for _ in range(100):
        with pytest.raises(Unreachable):
            world.addresses()
        world.now += RETRY_S / 50
    assert 2 <= world.asked <= 3


def test_a_look_up_that_hangs_costs_only_its_first_caller_time() -> None:
    """With an address known, nobody waits for more than half the time, and only once."""
    world = World()
    assert world.addresses() == (OLD,)
    world.at_once = False
    world.now += KEEP_S
    assert world.addresses(0.002) == (OLD,)  # waits a thousandth of a second at most
    world.now += 5.0
    assert world.addresses(9.0) == (OLD,)  # would hang here if it waited
    assert world.asked == 2


def test_hanging_look_ups_are_replaced_but_not_without_bound() -> None:
    """One that hangs is given up; so many may hang; the end of one makes room."""
    world = World(at_once=False)
    for _ in range(20):
        world.resolver.current_addresses()
        world.now += ABANDON_S
    assert world.asked == UNANSWERED_MAX
    world.under_way.pop(0)()
    assert world.resolver.current_addresses() == (OLD,)


def test_a_late_answer_does_not_undo_a_younger_one() -> None:
    """Answers count in the order of their questions."""
    world = World(at_once=False)
    world.resolver.current_addresses()
    world.now += ABANDON_S
    world.resolver.current_addresses()
    old, young = world.under_way
    world.answer = [NEW]
    young()
    world.answer = [OLD]
    old()
    assert world.resolver.current_addresses() == (NEW,)


LOCAL = {
    "descriptors": OSError(errno.EMFILE, "too many open files"),
    "memory": socket.gaierror(socket.EAI_MEMORY, "memory"),
}


@pytest.mark.parametrize("trouble", LOCAL.values(), ids=LOCAL.keys())
def test_our_own_shortage_is_not_the_nodes_fault(trouble: Exception) -> None:
    """It is OutOfResources, which no breaker counts."""
    world = World()
    world.answer = trouble
    with pytest.raises(OutOfResources) as refusal:
        world.addresses()
    assert not refusal.value.blames_node


def test_no_thread_to_be_had() -> None:
    """Also a shortage of our own; the next caller tries again."""

    def no_thread(run: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver(
        parse_address("cache:1"), keep_s=1, grace_s=1, clock=lambda: 0.0, start=no_thread
    )
    for _ in range(2 * UNANSWERED_MAX):
        with pytest.raises(OutOfResources):
            resolver.addresses(0.0)


def test_a_label_too_long_for_dns() -> None:
    """The standard library raises UnicodeError for it; here it does not resolve."""
    world = World()
    world.answer = UnicodeError("label empty or too long")
    with pytest.raises(Unreachable, match="no host name"):
        world.addresses()


def test_a_look_up_that_is_cut_off_ends_the_wait() -> None:
    """A BaseException in the thread goes on untouched and leaves nobody waiting."""

    class Cut(BaseException):
        pass

    def cut(host: str, port: int) -> list[SocketAddress]:
        raise Cut

    def start(run: Callable[[], None]) -> None:
        with pytest.raises(Cut):
            run()

    resolver = Resolver(
        parse_address("cache:1"), keep_s=1, grace_s=1, clock=lambda: 0.0, look_up=cut, start=start
    )
    with pytest.raises(Unreachable, match="cut off"):
        resolver.addresses(60.0)


class AnyCourse(RuleBasedStateMachine):
    """Any order of questions, answers, failures and hangs keeps the promises."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(at_once=False)
        self.ever: set[SocketAddress] = set()

    @rule(seconds=st.sampled_from([0.05, RETRY_S, KEEP_S, ABANDON_S, GRACE_S]))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(answer=st.sampled_from([[OLD], [NEW], [OLD, NEW], TRY_AGAIN, GONE]))
    def say(self, answer: list[SocketAddress] | Exception) -> None:
        self.world.answer = answer

    @precondition(lambda self: self.world.under_way)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        under_way = self.world.under_way
        index = data.draw(st.integers(0, len(under_way) - 1))
        if isinstance(self.world.answer, list):
            self.ever |= set(self.world.answer)
        under_way.pop(index)()

    @rule()
    def ask(self) -> None:
        try:
            found = self.world.addresses()
        except (ConnectTimeout, Unreachable):
            return
        assert found
        assert set(found) <= self.ever

    @rule()
    def look(self) -> None:
        assert set(self.world.resolver.current_addresses()) <= self.ever

    @invariant()
    def few_threads(self) -> None:
        assert len(self.world.under_way) <= UNANSWERED_MAX

    def teardown(self) -> None:
        """Whatever happened: once the name server answers, the new address is used."""
        world = self.world
        world.answer = [NEW]
        for run in [*world.under_way]:
            run()
        world.now += KEEP_S
        world.at_once = True
        assert world.addresses() == (NEW,)


TestAnyCourse = AnyCourse.TestCase
