"""memquake inside Locust's web UI: a tab of nodes, a page of its own, checked forms, run folders.

The tab rides on Locust's own statistics request. The page polls one JSON document. Nothing here
changes a run: starting and stopping stay with Locust's own form.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request, send_from_directory
from werkzeug.datastructures import ImmutableMultiDict

from dashboard.state import RUN_FILES, live_state
from memquake.units import parse_run_time

TAB = "memcached"
STATS_ENDPOINT = "locust.request_stats"
PAGE = Path(__file__).parent / "page.html"
COLUMNS = (
    ("name", "Node"),
    ("breaker", "Breaker"),
    ("fault", "Fault"),
    ("in_use", "Pool in use"),
    ("idle", "Pool idle"),
    ("hits", "Hits/s"),
    ("errors", "Errors/s"),
    ("p50_ms", "p50 (ms)"),
    ("p99_ms", "p99 (ms)"),
)
LINK = (
    '<a href="{base}/memquake" style="position:fixed;right:16px;bottom:16px;z-index:9999;'
    "background:#15803d;color:#fff;padding:8px 14px;border-radius:8px;text-decoration:none;"
    'font:600 14px system-ui,sans-serif">memquake: live page and reports</a>'
)


def install_web(session: Any, check_form: Any, metrics: Any) -> None:
    """Add tab, page and routes to the web UI of a master session.

    `check_form(options, host)` gives None or the one line that says why a form cannot be started;
    `metrics()` gives (body, content type) in Prometheus format.
    """
    environment = session.environment
    web_ui = environment.web_ui
    base = (environment.parsed_options.web_base_path or "").rstrip("/")
    web_ui.template_args["extended_tabs"] = [
        *web_ui.template_args.get("extended_tabs", []),
        {"title": TAB, "key": TAB},
    ]
    web_ui.template_args["extended_tables"] = [
        *web_ui.template_args.get("extended_tables", []),
        {"key": TAB, "structure": [{"key": key, "title": title} for key, title in COLUMNS]},
    ]
    pages = _Pages(session, check_form, metrics, base)
    # Flask would look the folder up by the module's name, which may be another module's by now.
    blueprint = Blueprint("memquake", __name__, url_prefix=base, root_path=str(PAGE.parent))
    guarded = web_ui.auth_required_if_enabled
    for rule, name, view in (
        ("/memquake", "page", guarded(_page)),
        ("/memquake/state", "state", guarded(pages.state)),
        ("/memquake/runs/<name>/<file>", "run_file", guarded(pages.run_file)),
        ("/metrics", "metrics", pages.metrics),
    ):
        blueprint.add_url_rule(rule, name, view)
    web_ui.app.register_blueprint(blueprint)
    web_ui.app.before_request(pages.refuse_bad_form)
    web_ui.app.after_request(pages.add_to_locusts)


def _page() -> Response:
    return Response(PAGE.read_text(encoding="utf-8"), mimetype="text/html")


class _Pages:
    """What memquake answers in the web UI of one master session, below the path `base`."""

    def __init__(self, session: Any, check_form: Any, metrics: Any, base: str) -> None:
        self._session = session
        self._check_form = check_form
        self._metrics = metrics
        self._base = base

    def state(self) -> Response:
        """Return what the live page shows, as JSON."""
        return jsonify(live_state(self._session, series=True))

    def run_file(self, name: str, file: str) -> Response:
        """Return a file of the last run; 404 for any other."""
        run = self._session.run
        if file not in RUN_FILES or run is None or name != run.folder.path.name:
            abort(404)
        plain = file.endswith((".jsonl", ".yaml"))
        return send_from_directory(
            run.folder.path, file, mimetype="text/plain" if plain else None, max_age=0
        )

    def metrics(self) -> Response:
        """Return what Prometheus scrapes."""
        body, content_type = self._metrics()
        return Response(body, content_type=content_type)

    def refuse_bad_form(self) -> Response | None:
        """Return the refusal of a form that cannot be started; None for every other request."""
        if request.method != "POST" or request.endpoint != "locust.swarm":
            return None
        environment = self._session.environment
        host = request.form.get("host", "")
        try:
            options = options_with_form(environment.parsed_options, request.form)
        except ValueError as error:
            why = f"Run time {error}"
        else:
            # What the host was filled in with is no choice.
            why = self._check_form(options, "" if host == environment.host else host)
            why = why or self._session.refuses_start()
        if why:
            return jsonify({"success": False, "message": why, "host": environment.host})
        _keep_run_time(environment.parsed_options, options.run_time)
        return None

    def add_to_locusts(self, response: Response) -> Response:
        """Add the nodes' rows to Locust's statistics, and a link to its page."""
        if request.endpoint == STATS_ENDPOINT and response.is_json:
            _add_rows(response, self._session)
        elif request.endpoint == "locust.index" and response.mimetype == "text/html":
            html = response.get_data(as_text=True)
            response.set_data(html.replace("</body>", LINK.format(base=self._base) + "</body>"))
        return response


def address_line(options: Any) -> str:
    """Say where the web UI is; Locust's own line about it is only in its log."""
    scheme = "https" if options.tls_cert and options.tls_key else "http"
    host = options.web_host if options.web_host not in ("", "*", "0.0.0.0") else "127.0.0.1"
    base = (options.web_base_path or "").rstrip("/")
    url = f"{scheme}://{host}:{options.web_port}{base}"
    return f"memquake: web UI at {url}, live page and reports at {url}/memquake"


def options_with_form(options: Any, form: Mapping[str, str]) -> Any:
    """Return a copy of the parsed options with the form's fields laid over them.

    Raises ValueError, which says what is wrong with the run time.
    """
    changed = copy.copy(options)
    for key, value in form.items():
        if key == "user_count":
            changed.num_users = int(value) if value.isdigit() else None  # Locust refuses it
        elif hasattr(changed, key) and key not in ("host", "run_time", "user_classes"):
            setattr(changed, key, value)
    text = form.get("run_time", "").strip()
    changed.run_time = parse_run_time(text) if text else None
    return changed


def _keep_run_time(options: Any, run_time_s: float | None) -> None:
    """Take the run time out of the form, for the run, which ends itself counting from second 0.

    Locust would read whole seconds only, count from when users are started, and keep the run time
    of the form before where there is none.
    """
    options.run_time = run_time_s
    form = request.form.copy()
    form.pop("run_time", None)
    request.form = ImmutableMultiDict(form)


def _add_rows(response: Response, session: Any) -> None:
    state = live_state(session)
    rows = [dict(row) for row in state["nodes"]]
    planned = state["planned_s"]
    progress = f"{state['t']:.0f} of {planned:.0f} s" if planned else f"{state['t']:.0f} s"
    active = [f"{f['kind']} on {', '.join(f['nodes'])}" for f in state["faults"] if _on(f)]
    rows.append(
        {
            "name": f"{state['scenario']}: {state['phase']} ({progress})",
            "fault": "; ".join(active),
        }
    )
    data = json.loads(response.get_data(as_text=True))
    kept = [entry for entry in data.get("extended_stats", []) if entry.get("key") != TAB]
    data["extended_stats"] = [*kept, {"key": TAB, "data": rows}]
    response.set_data(json.dumps(data))


def _on(fault: Mapping[str, Any]) -> bool:
    return fault["state"] in ("active", "injected")
