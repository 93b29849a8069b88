"""Measure what asking a server costs: `kind: server` beside a plain asyncio + openai client and datatrove's runner.

    python benchmarks/server_client.py --requests 100000 --datatrove-python DATATROVE_ENVIRONMENT/bin/python

Each client runs in a process of its own against the mock server in another one, in turn: the same prompts, seeds,
faults (10 % of the requests) and number of requests in flight; then the same with no faults on a fifth of the requests.
Prints one JSON line: per client how many slots came back once, twice and never, CPU time of the client process per
request, its peak memory when a tenth was done and at the end (growth between the two is what does not stay flat), and
what the server counted. A thousand of the texts are compared with what the server writes for that prompt and seed.

datatrove 0.10.1 wants other versions of shared packages: install `datatrove[io]==0.10.1 aiofiles httpx aiosqlite` in an
environment of its own; without `--datatrove-python` it is left out. The client runs there, so this file imports the
factory only inside functions. Its runner ends at the first 429, 5xx or malformed answer of a local endpoint: what it
had done by then is said as `aborted`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

FAULTS = "rate_limited=0.03,server_error=0.03,reset=0.02,truncated_json=0.01,malformed_json=0.005,empty=0.005"
GROUP = 8
MAX_TOKENS = 256
ATTEMPTS = 5
CHECKED = 1000


class Tally:
    """What came back, in memory that does not grow with it, and what it cost."""

    def __init__(self, requests: int) -> None:
        self.times = bytearray(requests)
        self.texts = array("Q", bytes(8 * requests))
        self.done = self.failed = self.early_kb = 0
        self.classes: dict[str, int] = {}
        self._started, self._cpu = time.perf_counter(), time.process_time()

    def got(self, slot: int, text: str) -> None:
        """Note a completion."""
        self.times[slot] += 1
        self.texts[slot] = text_hash(text)
        self._step()

    def lost(self, error: str) -> None:
        """Note a slot that was set aside."""
        self.failed += 1
        self.classes[error] = self.classes.get(error, 0) + 1
        self._step()

    def report(self) -> dict[str, Any]:
        """Return the figures; called at the end of the measured part."""
        cpu, seconds, end_kb = time.process_time() - self._cpu, time.perf_counter() - self._started, peak_kb()
        once, more = self.times.count(1), sum(count > 1 for count in self.times)
        return {
            "once": once,
            "doubled": more,
            "set_aside": self.failed,
            "set_aside_as": self.classes,
            "lost": len(self.times) - once - more - self.failed,
            "cpu_ms_per_request": round(cpu * 1000 / max(1, self.done), 3),
            "seconds": round(seconds, 1),
            "peak_mb_at_a_tenth": round(self.early_kb / 1024, 1),
            "peak_mb_at_the_end": round(end_kb / 1024, 1),
        }

    def _step(self) -> None:
        self.done += 1
        if self.done == len(self.times) // 10:
            self.early_kb = peak_kb()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--in-flight", type=int, default=128)
    parser.add_argument("--faults", default=FAULTS)
    parser.add_argument("--datatrove-python", type=Path, help="python of an environment with datatrove 0.10.1")
    parser.add_argument("--clients", default="factory,openai,datatrove")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client = {"factory": by_factory, "openai": by_openai, "datatrove": by_datatrove}[options.client]
        sys.stdout.write(json.dumps(client(options.url, options.requests, options.in_flight)) + "\n")
        return
    report: dict[str, Any] = {
        "benchmark": "server_client",
        "requests": options.requests,
        "in_flight": options.in_flight,
        "faults": options.faults,
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    for name in options.clients.split(","):
        if name == "datatrove" and options.datatrove_python is None:
            continue
        python = options.datatrove_python if name == "datatrove" else Path(sys.executable)
        report[name] = {
            "with_faults": measure(python, name, options.requests, options.in_flight, options.faults),
            "without_faults": measure(python, name, options.requests // 5, options.in_flight, ""),
        }
    sys.stdout.write(json.dumps(report) + "\n")


def measure(python: Path, name: str, requests: int, in_flight: int, faults: str) -> dict[str, Any]:
    """Run one client against a fresh server, both in processes of their own."""
    from factory.testing.mock_server import running

    with running(["--faults", faults, "--retry-after", "0", "--capacity", "4096"]) as server:
        command = [python, __file__, "--client", name, "--url", server.url]
        command += ["--requests", str(requests), "--in-flight", str(in_flight)]
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            return {"error": f"exit status {done.returncode}"}
        stats = server.stats()
        names = ("requests", "slots_by_answers", "most_attempts", "faults")
        return {**json.loads(done.stdout.splitlines()[-1]), "server": {key: stats[key] for key in names}}


def question(slot: int) -> str:
    """Return the prompt of a slot; the slots of a group share it."""
    number = slot // GROUP
    return f"Problem {number}: what is {number % 97} + {number % 89} - {number % 83}? Please reason step by step."


def seed(slot: int) -> int:
    """Return a seed of 63 bits."""
    return int.from_bytes(blake2b(str(slot).encode(), digest_size=8).digest()) >> 1


def by_factory(url: str, requests: int, in_flight: int) -> dict[str, Any]:
    """Ask through `kind: server`."""
    from factory.policy.protocol import PromptForm, Sampling
    from factory.policy.server import ServerPolicyConfig
    from factory.records import Completion, Slot

    def slots() -> Iterator[Slot]:
        for slot in range(requests):
            yield Slot(
                trace_id=f"{slot:032x}",
                problem_id=f"{slot // GROUP:032x}",
                prompt=[{"role": "user", "content": question(slot)}],
                index=slot % GROUP,
                seed=seed(slot),
            )

    config = ServerPolicyConfig(model="mock", urls=(url,), max_in_flight=in_flight, max_attempts=ATTEMPTS)
    policy = config.open(Sampling(max_tokens=MAX_TOKENS), PromptForm())
    tally = Tally(requests)
    with contextlib.closing(policy):
        for result in policy.sample(slots()):
            if isinstance(result, Completion):
                tally.got(int(result.trace_id, 16), result.text)
            else:
                tally.lost(result.error)
    sent = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    return tally.report() | {"wrong_texts": wrong_texts(tally, sent)}


def by_openai(url: str, requests: int, in_flight: int) -> dict[str, Any]:
    """Ask through the openai package: a semaphore, its own retries, and all requests gathered."""
    import openai

    tally = Tally(requests)

    async def run() -> None:
        limits = openai.DefaultAsyncHttpxClient(limits=openai.DEFAULT_CONNECTION_LIMITS)
        places = asyncio.Semaphore(in_flight)
        async with openai.AsyncOpenAI(
            base_url=url, api_key="none", max_retries=ATTEMPTS - 1, http_client=limits
        ) as client:

            async def one(slot: int) -> None:
                async with places:
                    try:
                        answer = await client.chat.completions.create(
                            model="mock",
                            messages=[{"role": "user", "content": question(slot)}],
                            seed=seed(slot),
                            temperature=1.0,
                            top_p=1.0,
                            max_tokens=MAX_TOKENS,
                        )
                        text = answer.choices[0].message.content
                    except Exception as error:  # noqa: BLE001  (whatever it raises, the slot has no completion)
                        tally.lost(type(error).__name__)
                        return
                if isinstance(text, str) and text:
                    tally.got(slot, text)
                else:
                    tally.lost("no text")

            await asyncio.gather(*map(one, range(requests)))

    asyncio.run(run())
    return tally.report() | {"wrong_texts": wrong_texts(tally, {}), "version": openai.__version__}


def by_datatrove(url: str, requests: int, in_flight: int) -> dict[str, Any]:
    """Ask through datatrove's inference runner with its server type `endpoint`; texts are not compared there."""
    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()
    tally = Tally(requests)

    def documents() -> Iterator[Any]:
        for first in range(0, requests, GROUP):
            yield Document(text=question(first), id=str(first), metadata={"next": first})

    async def rollout(document: Any, generate: Any) -> str:
        slot = document.metadata["next"]
        document.metadata["next"] += 1
        message = {"role": "user", "content": document.text}
        answer = await generate(
            {"messages": [message], "seed": seed(slot), "temperature": 1.0, "max_tokens": MAX_TOKENS}
        )
        if answer.text:
            tally.got(slot, answer.text)
        else:
            tally.lost("no text")
        return str(answer.text)

    config = InferenceConfig(
        server_type="endpoint",
        model_name_or_path="mock",
        endpoint_url=url.removesuffix("/v1"),
        rollouts_per_document=GROUP,
        max_concurrent_generations=in_flight,
        request_timeout=600.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        runner = InferenceRunner(rollout, config, JsonlWriter(folder, compression=None))
        try:
            runner.run(documents())
        except Exception as error:  # noqa: BLE001  (its end is what is measured)
            return {
                "aborted": f"{type(error).__name__}: {str(error)[:120]}",
                "once": tally.times.count(1),
                "version": version("datatrove"),
            }
    return tally.report() | {"version": version("datatrove")}


def wrong_texts(tally: Tally, sent: dict[str, float]) -> int:
    """Return how many of some thousand texts are not what the server writes for the prompt, the seed and what else was
    sent of what a text depends on."""
    from factory.testing.mock_server import MockBehaviour
    from factory.testing.mock_text import render_chat, write

    behaviour, wrong = MockBehaviour(), 0
    for slot in range(0, len(tally.times), max(1, len(tally.times) // CHECKED)):
        if tally.times[slot]:
            message = {"role": "user", "content": question(slot)}
            prompt = render_chat([message], prefilled_think=False, add_generation_prompt=True, continue_final=False)
            asked = {"seed": seed(slot), "temperature": 1.0, "top_p": 1.0, **sent}
            written = write(prompt, asked, behaviour, max_tokens=MAX_TOKENS, fault=None)
            wrong += tally.texts[slot] != text_hash("".join(written.pieces))
    return wrong


def text_hash(text: str) -> int:
    """Return 64 bits that name a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def peak_kb() -> int:
    """Return the peak memory of this process in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
