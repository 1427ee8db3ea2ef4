"""Every report says which class, file and version was judged, beside what was asked for."""

from __future__ import annotations

from junitparser import JUnitXml

from report.console import summary
from report.html import html_text
from report.json import verdict_json
from report.junit import junit_text
from tests.unit.verdict.made_up_runs import MadeUpRun
from verdict.verdict import judge

TOLD = {
    "class": "retrying.Everything",
    "file": "/srv/retrying.py",
    "package": None,
    "version": None,
    "factory_file": "/srv/make.py",
    "libraries": {"pymemcache": "4.0.0"},
}
VERSIONS = {"memquake": "0.1.0", "python": "3.11.7", "memcached": "1.6.18, 1.6.40"}


def test_who_was_judged_is_in_every_report() -> None:
    facts = MadeUpRun(20).but(client="x:y", client_under_test=TOLD, versions=VERSIONS).facts()
    verdict = judge(facts)
    data = verdict_json(verdict, facts)
    assert (data["client"], data["client_under_test"], data["versions"]) == ("x:y", TOLD, VERSIONS)
    text = summary(verdict, facts, "/runs/one").splitlines()
    assert text[1] == ("client    retrying.Everything, with pymemcache 4.0.0, from /srv/make.py")
    page = html_text(verdict, facts)
    suite = next(iter(JUnitXml.fromstring(junit_text(verdict, facts).encode())))
    told = {each.name: each.value for each in suite.properties()}
    for name, value in {
        "client class": "retrying.Everything",
        "client file": "/srv/retrying.py",
        "client built in": "/srv/make.py",
        "client libraries": "pymemcache 4.0.0",
        "versions": "memquake 0.1.0, python 3.11.7, memcached 1.6.18, 1.6.40",
    }.items():
        assert value in page
        assert told[name.replace(" ", "_")] == value
    assert "client_version" not in told


def test_a_run_that_never_got_so_far_says_nothing_of_it() -> None:
    facts = MadeUpRun(20).facts()
    assert "client    " not in summary(judge(facts), facts, "/runs/one")
