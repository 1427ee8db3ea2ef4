"""One Compose project for all tests of this folder: built once, taken away at the end, always."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.compose.project import Project

# A short scenario under a small load: what is tested here is the way things hang together.
SETTINGS = {
    "LOCUST_SCENARIO": "single-node-failure",
    "LOCUST_TIME_SCALE": "0.3",
    "LOCUST_USERS": "20",
    "LOCUST_TARGET_RATE": "300",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Give a project that nothing of is up yet."""
    project = Project(tmp_path_factory.mktemp("compose"), SETTINGS)
    try:
        yield project
    finally:
        project.down()


@pytest.fixture(scope="module")
def laid_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Project]]:
    """Give a function that makes a project of docker-compose.yml and an override."""
    made: list[Project] = []

    def make(override: str) -> Project:
        made.append(Project(tmp_path_factory.mktemp("compose"), SETTINGS, override))
        return made[-1]

    try:
        yield make
    finally:
        for project in made:
            project.down()
