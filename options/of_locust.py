"""Locust's own options: what each one does in a run of memquake, and which are refused.

Rule: an option works as Locust says, or the command ends in one line with exit code 2. None is
taken and then without effect. `MEANINGS` has an entry for every option of the Locust that is
installed, which a test holds against its parser.
"""

from __future__ import annotations

import importlib.util
import os
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from options.words import ConfigError

AS_LOCUST = "as Locust says"
REFUSED_BY_LOCUST = "refused by Locust itself: it has been renamed or removed"

MEANINGS: Mapping[str, str] = {
    "help": "Locust's own options only; `python -m memquake options` lists those of memquake",
    "locustfile": "a file of your own may import memquake's users and have others beside them; "
    "`python -m memquake` gives this checkout's",
    "config": AS_LOCUST,
    "host": "for users of your own only; without any it is refused: `--nodes` names memcached",
    "num_users": "users that call memcached and those of your own together; else the scenario's",
    "spawn_rate": "without it all users start at once; a run begins when the last one is ready",
    "run_time": "length of a run of `none`, above 0, such as 90, 1h30m or 2.5m; shorter than a "
    "scenario is refused, a longer one ends with its scenario",
    "list_commands": AS_LOCUST,
    "config_users": "`weight` and `fixed_count` of memquake's users, anything of your own ones",
    "web_host": "as Locust says, but 127.0.0.1 where nothing is said",
    "web_host_display_name": AS_LOCUST,
    "web_port": AS_LOCUST,
    "headless": AS_LOCUST,
    "autostart": AS_LOCUST,
    "autoquit": "as Locust says; without `--autostart` it is refused",
    "headful": AS_LOCUST,
    "web_auth": REFUSED_BY_LOCUST,
    "web_login": "needs a locustfile that sets a log-in up; without one it is refused",
    "tls_cert": "of the web UI, together with `--tls-key`; one without the other is refused",
    "tls_key": "see `--tls-cert`",
    "class_picker": AS_LOCUST,
    "build_path": AS_LOCUST,
    "legacy_ui": REFUSED_BY_LOCUST,
    "web_base_path": AS_LOCUST,
    "master": AS_LOCUST,
    "master_bind_host": "as Locust says; workers of `--processes` are reached on 127.0.0.1",
    "master_bind_port": "as Locust says; `--processes` without one takes any free port",
    "expect_workers": "as Locust says; with `--processes` it is their number",
    "expect_workers_max_wait": "60 where nothing is said, for `--headless` and `--autostart`",
    "enable_rebalancing": AS_LOCUST,
    "expect_slaves": REFUSED_BY_LOCUST,
    "worker": "everything but the way to the master is learnt from the master",
    "processes": AS_LOCUST,
    "slave": REFUSED_BY_LOCUST,
    "master_host": AS_LOCUST,
    "master_port": AS_LOCUST,
    "tags": "refused: users of memquake have no tags, and none of them would do anything",
    "exclude_tags": "for users of your own only; without any it is refused",
    "csv_prefix": AS_LOCUST,
    "stats_history_enabled": AS_LOCUST,
    "print_stats": "also in a headless run, where memquake's live line takes its place otherwise",
    "only_summary": "always so in a headless run without `--print-stats`",
    "reset_stats": "of Locust's tables; what is judged begins at second 0 anyway",
    "html_file": "Locust's own report, of the last run; memquake's is in the run folder",
    "json": "standard output is the JSON alone; what memquake prints goes to standard error",
    "json_file": AS_LOCUST,
    "skip_log_setup": AS_LOCUST,
    "loglevel": "WARNING where nothing is said",
    "logfile": AS_LOCUST,
    "show_task_ratio": AS_LOCUST,
    "show_task_ratio_json": AS_LOCUST,
    "version": "Locust's",
    "exit_code_on_error": "refused: the exit code is the verdict's",
    "stop_timeout": "for users of your own; the others end with the call they are in",
    "equal_weights": AS_LOCUST,
    "profile": AS_LOCUST,
    "otel": "as Locust says; refused where OpenTelemetry is not installed",
    "user_classes": "memquake's and your own; one of memquake's at least",
}
"""What an option does here, by its name in Locust's parsed options."""

ENDS_AT_ONCE = ("list_commands", "show_task_ratio", "show_task_ratio_json")
"""Options that print something and start nothing."""

OURS_TAKE = ("user_class_name", "weight", "fixed_count")
_EXIT_CODE_ON_ERROR = 1  # Locust's default


def ends_at_once(options: Namespace) -> bool:
    """Return whether Locust prints something and ends."""
    return any(getattr(options, name) for name in ENDS_AT_ONCE)


def check_locust_options(
    options: Namespace, ours: Iterable[str], foreign: Mapping[str, type]
) -> None:
    """Refuse what would have no effect, and what Locust would end over with another exit code.

    `ours` names memquake's user classes of the locustfile, `foreign` are the others. Raises
    ConfigError.
    """
    _check_target(options, foreign)
    _check_roles(options)
    _check_web(options)
    _check_files(options)
    if options.exit_code_on_error != _EXIT_CODE_ON_ERROR:
        raise ConfigError(
            f"--exit-code-on-error {options.exit_code_on_error}: the exit code is the verdict's, "
            "0 PASS, 1 FAIL, 3 INCONCLUSIVE: leave it out"
        )
    if options.otel and importlib.util.find_spec("opentelemetry") is None:
        raise ConfigError("--otel: OpenTelemetry is not installed: pip install 'locust[otel]'")
    for config in _configs(options):
        _check_user_config(config, ours, foreign)


def _check_target(options: Namespace, foreign: Mapping[str, type]) -> None:
    if options.tags:
        raise ConfigError("--tags: the users here have no tags: name user classes instead")
    if options.exclude_tags and not foreign:
        raise ConfigError("--exclude-tags: the users here have no tags: name user classes instead")
    if options.host and not foreign:
        raise ConfigError(host_says_nothing(f"--host {options.host} (LOCUST_HOST)"))


def host_says_nothing(host: str) -> str:
    """Return the words for a host where no user of the run sends anything to one."""
    return (
        f"{host} would be without effect: name the memcached nodes with --nodes host:port,... "
        "and leave it out"
    )


def _check_roles(options: Namespace) -> None:
    processes = options.processes or 0
    if processes < -1:
        raise ConfigError(f"--processes {processes}: give a number of processes, -1 for one a core")
    if options.master and (processes or options.worker):
        other = "--processes" if processes else "--worker"
        raise ConfigError(f"--master and {other} exclude each other: leave one of them out")
    if processes > 0 and not options.worker and options.expect_workers not in (1, processes):
        raise ConfigError(
            f"--expect-workers {options.expect_workers} and --processes {processes}: the number of "
            "processes is the number of workers: leave --expect-workers out"
        )
    if options.autoquit != -1 and not options.autostart:
        raise ConfigError(
            "--autoquit is for runs with --autostart: add it, or leave --autoquit out"
        )


def _check_web(options: Namespace) -> None:
    if options.web_base_path and not options.web_base_path.startswith("/"):
        raise ConfigError(f"--web-base-path {options.web_base_path} must begin with a slash")
    if bool(options.tls_cert) != bool(options.tls_key):
        given, lacking = ("cert", "key") if options.tls_cert else ("key", "cert")
        raise ConfigError(
            f"--tls-{given} without --tls-{lacking} would serve plain HTTP: give both, or neither"
        )
    for name in ("tls_cert", "tls_key"):
        path = getattr(options, name)
        if path and not os.access(path, os.R_OK):
            raise ConfigError(f"--{name.replace('_', '-')} {path} cannot be read")
    if options.build_path and not Path(options.build_path).is_dir():
        raise ConfigError(f"--build-path {options.build_path} is no folder")


def _check_files(options: Namespace) -> None:
    """Look whether files that Locust opens late, some after the run, can be written."""
    for flag, name in (
        ("--logfile", options.logfile),
        ("--csv", options.csv_prefix and f"{options.csv_prefix}_stats.csv"),
        ("--html", options.html_file),
        ("--json-file", options.json_file and f"{options.json_file}.json"),
    ):
        why = unwritable(Path(name)) if name else ""
        if why:
            raise ConfigError(f"{flag}: {name} cannot be written ({why}): give another place")


def unwritable(path: Path) -> str:
    """Say why a file cannot be written, "" when it can; touches nothing."""
    try:
        if path.is_dir():
            return "it is a folder"
        if path.exists():
            return "" if os.access(path, os.W_OK) else "permission denied"
        above = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as error:
        return error.strerror or str(error)
    if not above.is_dir():
        return f"{above} is no folder"
    return "" if os.access(above, os.W_OK | os.X_OK) else f"permission denied in {above}"


def _configs(options: Namespace) -> list[dict[str, Any]]:
    return [config for part in options.config_users or () for config in part]


def _check_user_config(
    config: Mapping[str, Any], ours: Iterable[str], foreign: Mapping[str, type]
) -> None:
    name = str(config["user_class_name"])
    known = [*ours, *foreign]
    if name not in known:
        raise ConfigError(f"--config-users: {unknown_user(name, known)}")
    for key, value in config.items():
        if name not in foreign and key not in OURS_TAKE:
            raise ConfigError(
                f"--config-users: {key!r} would be without effect on {name}: "
                "give weight or fixed_count"
            )
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if key in ("weight", "fixed_count") and (not is_number or value < 0):
            raise ConfigError(f"--config-users: {key} {value!r} of {name} is no number from 0 on")


def unknown_user(name: str, known: Sequence[str]) -> str:
    """Return the words for a user class that the locustfile does not have."""
    near = get_close_matches(name, known, n=1)
    hint = f", nearest: {near[0]}" if near else ""
    return f"unknown user class {name!r}{hint}; there are {', '.join(sorted(known))}"
