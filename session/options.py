"""memquake's options on Locust's command line, web form, environment and config files.

Options are strings here and are read by settings.py, so that a bad one gives the same single line
wherever it came from. The check of the whole command line hangs on the parser itself, because that
is the only moment before Locust has logged, forked or started anything.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Mapping
from typing import Any

from cluster.errors import ClusterError
from faults.errors import FaultError, ScenarioError
from faults.printing import while_somebody_reads
from faults.scenario import list_scenarios, scenario_names
from faults.suite import list_suites, suite_names
from memquake.limits import LimitError
from memquake.paths import RUNS
from memquake.units import parse_run_time
from options.listing import AREA
from options.of_locust import (
    check_locust_options,
    ends_at_once,
    host_says_nothing,
    unknown_user,
)
from report.reading import OutcomeError
from session.ports import settle_ports
from session.suite_plan import SuitePlan, plan_suite
from settings import MAX_SPAWN_RATE, ConfigError, Settings, check_machine, resolve_settings
from users.clients import ClientSpecError
from users.foreign import classes_of, is_foreign, lacks_host
from users.presets import MixError

USER_ERRORS = (
    ConfigError,
    ClusterError,
    FaultError,
    ScenarioError,
    ClientSpecError,
    MixError,
    LimitError,
    OutcomeError,
)
"""Errors whose text is one line for the person who typed the command."""

USAGE_ERROR = 2
WORKER_WAIT_S = 60  # a master that no worker joins gives up after this, unless told otherwise


class Checked:
    """The settings of this process, once the command line has been checked."""

    settings: Settings | None = None  # of the first run
    suite: SuitePlan | None = None  # when there are more
    users_given = False  # whether the command line says how many
    spawn_rate: float | None = None  # as the command line says
    done = False
    worker_wait_s = 0.0  # how long a headless master waits for its workers; 0 is for ever


def fail(line: str) -> None:
    """Print one line on stderr and end the process with exit code 2."""
    sys.stderr.write(f"memquake: {' '.join(str(line).split())}\n")
    sys.stderr.flush()
    raise SystemExit(USAGE_ERROR)


def add_options(parser: Any) -> None:
    """Add memquake's options and defaults to Locust's parser; safe to call again and again."""
    parser.set_defaults(
        loglevel="WARNING",  # the live line and the verdict say what Locust's log would
        web_host="127.0.0.1",  # nothing is offered to the network unless asked for
        expect_workers_max_wait=WORKER_WAIT_S,
    )
    for title, fill in (
        ("the run", _run_options),
        ("nodes and proxies", _cluster_options),
        ("the client under test", _client_options),
        ("the users", _user_options),
        ("verdict and files", _verdict_options),
    ):
        option = _adder(parser.add_argument_group(f"{AREA}{title}"))
        fill(option, _flagger(option))
    _read_run_time(parser)
    _check_when_parsed(parser)
    _complain_in_one_line(parser)


def _read_run_time(parser: Any) -> None:
    """Make Locust's --run-time take every duration that is above 0, not whole seconds alone."""

    def run_time(text: str) -> float:
        try:
            seconds = parse_run_time(text)
            return int(seconds) if seconds.is_integer() else seconds  # as the web form shows it
        except ValueError as why:
            raise argparse.ArgumentTypeError(str(why)) from None

    for action in parser._actions:
        if action.dest == "run_time":
            action.type = run_time


def _adder(group: Any) -> Callable[..., None]:
    """Return what adds an option to a group, with its variable and its place in the web form."""

    def option(name: str, default: Any, text: str, *, web: bool = False, **more: Any) -> None:
        env = "LOCUST_" + name.lstrip("-").replace("-", "_").upper()
        shown = "" if default in (None, "", False) else f" Defaults to {default}."
        action = group.add_argument(
            name, default=default, env_var=env, help=f"{text}{shown}", **more
        )
        # A group adds plain actions; what Locust's own parser would have set is set here.
        action.include_in_web_ui = web
        action.is_secret = action.is_required = action.is_multiple = False

    return option


def _flagger(option: Callable[..., None]) -> Callable[[str, str], None]:
    return lambda name, text: option(name, False, text, action="store_true")


def _complain_in_one_line(parser: Any) -> None:
    """Make argparse's own complaints fit on the one line that every other one gets."""
    leave = parser.exit

    def leave_in_one_line(status: int = 0, message: str | None = None) -> None:
        if status and message:
            message = " ".join(message.split()) + "\n"
        leave(status, message)

    parser.exit = leave_in_one_line


class Suggestions(list[str]):
    """Values for the web form to choose from; any other one is taken as well, and checked later."""

    def __contains__(self, value: object) -> bool:
        return True


def _run_options(option: Callable[..., None], flag: Callable[..., None]) -> None:
    suites = suite_names()
    names = scenario_names()
    given = Checked.settings.scenario_given if Checked.settings else ""
    option(
        "--scenario",
        "none",
        "What breaks: a name that --list-scenarios prints, or the path of a scenario file.",
        web=True,
        metavar="NAME|PATH",
        choices=Suggestions(names if given in ("", *names) else [*names, given]),
    )
    option(
        "--suite",
        "",
        f"Scenarios one after the other: {', '.join(suites)}, or the path of a suite file. "
        "Ends at the first that FAILs or cannot be set up, unless told to keep going.",
        web=True,
        metavar="NAME|PATH",
        choices=Suggestions(["", *suites]),
    )
    option("--repeat", "1", "How many rounds of the suite or scenario, each with the next seed.")
    option(
        "--retries",
        "0",
        "How often a scenario is run again while its run is INCONCLUSIVE; never after a FAIL.",
    )
    flag("--loop", "Round after round until stopped, for soak; --run-time ends a suite's.")
    flag("--keep-going", "Go on in a suite after a scenario that FAILed or could not be set up.")
    option(
        "--seed",
        "",
        "Decides every random choice of the plan. Without it the suite's own, else 1.",
        web=True,
    )
    option(
        "--target-rate",
        "",
        "Iterations a second of all users together; 0 is closed loop. "
        "Without it the scenario's own, else 800.",
        web=True,
    )
    option(
        "--arrivals",
        "constant",
        "How intended starts are spaced in a paced run: constant, or poisson as of many strangers.",
        web=True,
        choices=["constant", "poisson"],
    )
    option(
        "--time-scale",
        "",
        "Factor on the scenario's phases, starts and durations. "
        "Without it the suite's own, else 1.",
        web=True,
    )


def _cluster_options(option: Callable[..., None], flag: Callable[..., None]) -> None:
    option(
        "--nodes",
        "",
        "memcached nodes, host:port or unix:/path,...; without it own ones are started.",
    )
    option("--tls-ca", "", "Authority of the nodes' certificates, a file in PEM; turns TLS on.")
    option("--tls-client-cert", "", "Certificate to show to nodes that ask for one, a file in PEM.")
    option(
        "--tls-client-key",
        "",
        "Its key, a file in PEM; without it the key is in that of --tls-client-cert.",
    )
    option("--tls-server-name", "", "Name that certificates are for; without it the node's host.")
    option("--auth-token-file", "", "File with user:password, as memcached takes it with -Y.")
    option("--embedded-nodes", "3", "How many memcached to start without --nodes.")
    option("--toxiproxy-url", "", "Toxiproxy in front of --nodes; without it an own one.")
    option("--proxy-bind", "127.0.0.1", "Address on which proxies in front of --nodes listen.")
    option(
        "--proxy-advertise",
        "",
        "Host under which workers reach those proxies; without it where they listen.",
    )
    option(
        "--node-control",
        "",
        "Folder with the pipes of agents (cluster/agent.sh) that may kill and halt --nodes.",
    )
    flag("--allow-remote-faults", "Allow breaking what is not on the loopback interface.")


def _client_options(option: Callable[..., None], _: Callable[..., None]) -> None:
    option(
        "--client",
        "memquake",
        "Client under test: memquake, pymemcache-hash, pymemcache-pooled, or MODULE:CALLABLE.",
    )
    option("--pool-size", "100", "Connections a node and process, at most.")
    option("--op-timeout", "", "Deadline of an operation, such as 500ms. Defaults to 0.5 s.")
    option("--connect-timeout", "", "Deadline of a connect. Defaults to 0.25 s.")
    option("--failover", "", "Keys of a dead node: fail (default), rehash (other nodes), gutter.")
    option("--gutter-nodes", "", "memcached nodes of --failover gutter, host:port,...")
    option("--ring", "ketama", "How keys find nodes: ketama, rendezvous, jump, modulo.")
    option("--breaker-profile", "default", "Numbers of the breaker: default, catalogue, off.")
    option("--breaker-failures", "", "Consecutive failures that open the breaker.")
    option("--breaker-open-time", "", "How long the breaker stays open before it probes.")
    option("--breaker-probes", "", "Probes admitted at once while half open.")
    option(
        "--breaker-open-max", "", "Longest time the breaker stays open, however often probes fail."
    )
    option("--breaker-slow-call", "", "From here on a call counts as slow; without it none does.")
    option("--breaker-slow-rate", "", "Share of slow calls that opens the breaker.")
    option("--breaker-counted", "", "Outcomes that are failures as well: server_error,...")
    option("--breaker-ignored", "", "Outcomes that are not failures: refused,...")
    option("--breaker-guard", "", "With more than this share of the nodes out, open no more.")


def _user_options(option: Callable[..., None], _: Callable[..., None]) -> None:
    option("--mix", "", "Operations of MixedUser, such as get=60,set=30,delete=5,incr=5.")
    option("--zipf-alpha", "1.2", "Skew of HotKeyUser's keys.")
    option("--protection", "none", "Stampede protection of StampedeUser: none, lock, lease.")
    option("--origin-latency", "50ms", "How long the built-in origin takes to answer.")
    option("--stampede-ttl", "2", "Seconds after which the stampede's key expires.")
    option("--value-size", "100", "Bytes of a value.")


def _verdict_options(option: Callable[..., None], flag: Callable[..., None]) -> None:
    option("--budget", None, "Limit of a check, NAME=VALUE; repeatable.", action="append")
    option(
        "--baseline",
        "",
        "An earlier run or suite (its folder or verdict.json) that this one must be as good as.",
    )
    option("--runs-dir", RUNS, "Folder that holds a folder for every run.")
    flag("--no-report", "Write no report.html.")
    option("--prometheus-port", "", "Serve /metrics on this loopback port.")
    flag("--list-scenarios", "Print the scenarios, a line each, and end.")


def list_and_end() -> None:
    """Print every scenario and suite with its description and end with exit code 0."""
    found = list_scenarios()
    width = max(len(scenario.name) for scenario in found)
    suites = list_suites()
    with while_somebody_reads():
        for scenario in found:
            sys.stdout.write(f"{scenario.name:<{width}}  {scenario.description}\n")
        for suite in suites:
            sys.stdout.write(f"{'--suite ' + suite.name:<{width}}  {suite.description}\n")
    raise SystemExit(0)


def _check_when_parsed(parser: Any) -> None:
    """Make the parser check the whole command line once, before Locust goes on."""
    parse = parser.parse_args

    def parse_and_check(*args: Any, **kwargs: Any) -> argparse.Namespace:
        options: argparse.Namespace = parse(*args, **kwargs)
        if Checked.done:
            return options
        Checked.done = True
        if options.list_scenarios:
            list_and_end()
        if options.worker:
            _check_worker(options)
        else:
            _check(options)
        return options

    parser.parse_args = parse_and_check


def _check_user_classes(options: argparse.Namespace) -> None:
    """Look at the user classes that will run, and at what Locust's options say to them."""
    known = classes_of(options.locustfile)
    for name in options.user_classes:
        if name not in known:
            raise ConfigError(unknown_user(name, list(known)))
    chosen = {name: known[name] for name in options.user_classes or known}
    foreign = {name: kind for name, kind in chosen.items() if is_foreign(kind)}
    check_locust_options(options, chosen.keys() - foreign.keys(), foreign)
    if ends_at_once(options):
        return
    if len(foreign) == len(chosen):
        raise ConfigError(
            f"no user class of memquake among {', '.join(sorted(chosen)) or 'none'}: add one, such "
            "as MixedUser (`from users.mixed import MixedUser` in your locustfile)"
        )
    if options.mix and options.user_classes and "MixedUser" not in options.user_classes:
        raise ConfigError("--mix is about MixedUser, which is not among the user classes: add it")
    if options.headless or options.autostart:
        _check_hosts(foreign, options.host)


def _check_hosts(foreign: Mapping[str, type], host: str | None) -> None:
    for name, kind in foreign.items():
        if lacks_host(kind, host):
            raise ConfigError(f"{name} has no base URL: give --host http://..., or set its `host`")


def _check_worker(options: argparse.Namespace) -> None:
    try:
        _check_user_classes(options)
    except ConfigError as error:
        fail(str(error))


def _check(options: argparse.Namespace) -> None:
    if options.headful:
        options.headless = False
    try:
        _check_user_classes(options)
        if ends_at_once(options):
            options.processes = None  # what is printed is printed once
            return
        suite = plan_suite(options)
        settings = suite.first[0].settings if suite else resolve_settings(options)
        for each in [turn.settings for turn in suite.first] if suite else [settings]:
            check_machine(each)
        settle_ports(options, settings)
    except USER_ERRORS as error:
        fail(str(error))
        return
    Checked.settings, Checked.suite = settings, suite
    Checked.users_given, Checked.spawn_rate = options.num_users is not None, options.spawn_rate
    # Locust would end with exit code 1 and a log line; session/wiring.py waits in its place.
    Checked.worker_wait_s = float(options.expect_workers_max_wait or 0)
    options.expect_workers_max_wait = 0
    options.num_users = settings.users
    if options.spawn_rate is None:
        options.spawn_rate = min(float(settings.users), MAX_SPAWN_RATE)
    _name_html(options, settings, is_suite=suite is not None)
    if options.headless or options.autostart:
        options.run_time = None  # the run ends itself, to the second, counted from its second 0
    if options.headless and not options.print_stats:
        options.only_summary = True  # the live view takes the place of Locust's repeated table


def _name_html(options: argparse.Namespace, settings: Settings, *, is_suite: bool) -> None:
    """Put the length of the run into the name of Locust's report, which does not know it."""
    length = settings.duration_s if settings.plan is None else settings.plan.duration_s
    length = options.run_time or (None if is_suite else length)
    if options.html_file and length:
        options.html_file = options.html_file.replace("{t}", f"{length:g}")


def form_options(options: argparse.Namespace) -> argparse.Namespace:
    """Give what a form says for a suite: users it left as they were are those of each scenario."""
    changed = copy.copy(options)
    if Checked.settings and not Checked.users_given and options.num_users == Checked.settings.users:
        changed.num_users = None
    return changed


def check_form(options: argparse.Namespace, host: str) -> str | None:
    """Return the line that says why a filled-in web form cannot be started, or None.

    `host` is what the form names beside what it was filled in with, "" for nothing.
    """
    try:
        known = classes_of(options.locustfile)
        chosen = {name: known[name] for name in options.user_classes or known}
        foreign = {name: kind for name, kind in chosen.items() if is_foreign(kind)}
        if host and not foreign:
            raise ConfigError(host_says_nothing(f"Host {host}"))
        _check_hosts(foreign, host or options.host)
        plan = plan_suite(form_options(options))
        runs = [turn.settings for turn in plan.first] if plan else [resolve_settings(options)]
        for settings in runs:
            check_machine(settings)
    except USER_ERRORS as error:
        return str(error)
    return None
