"""Languages other than Python: how a program is compiled and started, and whether this machine can.

In: the name of a language and a source. Out: the file it goes into, the commands, and the paths that they need.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from verifiers.sandbox.protocol import Limits

OTHERS = ("cpp", "c", "javascript", "java", "go", "rust")
_TOOLS = {"cpp": "g++", "c": "gcc", "javascript": "node", "java": "javac", "go": "go", "rust": "rustc"}
_JAVA_CLASS = re.compile(r"^\s{0,8}(public\s+)?(?:final\s+|abstract\s+)?class\s+(\w+)", re.MULTILINE)
_JAVA_MAIN = re.compile(r"\bstatic\s+(?:final\s+)?void\s+main\s*\(")
_COMPILE = Limits(
    cpu_s=60.0, idle_s=60.0, wall_s=180.0, memory_mb=2048, bounded_address_space=False, output_mb=256, disk_mb=512,
    max_files=16384, max_processes=256, max_open=1024,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What runs programs of one language here."""

    language: str
    """Its name."""
    tool: str
    """The compiler, or the interpreter, as an absolute path."""
    version: str
    """What it says of itself."""
    visible: tuple[str, ...]
    """Paths that it reads, besides the system's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How one program is compiled and started."""

    source: str
    """The file that its source goes into."""
    compile: tuple[str, ...]
    """The compiler's command; empty where there is none."""
    compile_limits: Limits
    """What the compiler may use."""
    made: str
    """The file or folder that the compiler makes; empty where there is none."""
    kept: str
    """The file that it becomes in the folder of a run."""
    run: tuple[str, ...]
    """The program's command."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables for both."""
    bounded_address_space: bool = True
    """Whether the program's address space can be bounded."""
    extra_memory_mb: int = 0
    """What the runtime takes for itself."""


@lru_cache(maxsize=16)
def toolchain(language: str) -> Toolchain | None:
    """Find what runs programs of a language here; None if nothing does. Python is always there."""
    if language == "python":
        return Toolchain(language=language, tool=sys.executable, version=sys.version.split()[0], visible=())
    found = shutil.which(_TOOLS[language])
    if found is None:
        return None
    if language == "rust":
        root = _said(found, "--print", "sysroot")  # `rustc` on the path may only look for the real one
        found = f"{root}/bin/rustc" if root else found
    tool = os.path.realpath(found)
    version = _said(tool, "version" if language == "go" else "--version")
    if not version or (language == "rust" and shutil.which("cc") is None):
        return None
    root = _said(tool, "env", "GOROOT") if language == "go" else str(Path(tool).parent.parent)
    extra = ("/etc/java-17-openjdk", "/etc/java-21-openjdk") if language == "java" else ()
    visible = () if root.startswith(("/usr", "/bin")) else (root,)
    return Toolchain(language=language, tool=tool, version=version.splitlines()[0], visible=(*visible, *extra))


def build(tools: Toolchain, source: str, memory_mb: int) -> Build:
    """Say how a program is compiled and started."""
    tool = tools.tool
    match tools.language:
        case "cpp" | "c":
            name, standard = ("main.cpp", "-std=gnu++17") if tools.language == "cpp" else ("main.c", "-std=gnu17")
            command = (tool, "-O2", standard, "-w", "-pipe", "-o", "program", name, "-lm")
            return _compiled(name, command)
        case "rust":
            return _compiled("main.rs", (tool, "-O", "--edition", "2021", "-A", "warnings", "-o", "program", "main.rs"))
        case "go":
            settings = (("GOCACHE", "/tmp/go"), ("GO111MODULE", "off"), ("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local"))
            return _compiled("main.go", (tool, "build", "-o", "program", "main.go"), settings, reserves=True)
        case "javascript":
            return Build(
                source="main.js",
                compile=(),
                compile_limits=_COMPILE,
                made="",
                kept="main.js",
                run=(tool, f"--max-old-space-size={memory_mb}", "--stack-size=60000", "main.js"),
                bounded_address_space=False,
                extra_memory_mb=192,
            )
        case _:
            public, main = java_classes(source)
            java = str(Path(tool).parent / "java")
            return Build(
                source=f"{public or main}.java",
                compile=(tool, "-encoding", "UTF-8", "-nowarn", "-d", "classes", f"{public or main}.java"),
                compile_limits=_COMPILE,
                made="classes",
                kept="program.jar",
                run=(
                    java, f"-Xmx{memory_mb}m", "-Xss256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                    "-XX:-UsePerfData", "-Xshare:auto", "-cp", "program.jar", main,
                ),
                bounded_address_space=False,
                extra_memory_mb=384,
            )  # fmt: skip


def java_classes(source: str) -> tuple[str | None, str]:
    """Return the public class, which names the file, and the class that holds `main`."""
    classes = [(match.start(), match[2], bool(match[1])) for match in _JAVA_CLASS.finditer(source)]
    public = next((name for _, name, is_public in classes if is_public), None)
    entry = _JAVA_MAIN.search(source)
    before = [name for start, name, _ in classes if entry is not None and start < entry.start()]
    return public, before[-1] if before else public or "Main"


def _compiled(
    source: str, command: tuple[str, ...], environment: tuple[tuple[str, str], ...] = (), *, reserves: bool = False
) -> Build:
    return Build(
        source=source,
        compile=command,
        compile_limits=_COMPILE,
        made="program",
        kept="program",
        run=("./program",),
        environment=environment,
        bounded_address_space=not reserves,
        extra_memory_mb=64 if reserves else 0,
    )


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() or done.stderr.strip()
