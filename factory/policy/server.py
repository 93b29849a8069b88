"""The policy `kind: server`: any number of OpenAI-compatible endpoints, named by URL or launched by us.

In: slots. Out: completions as they finish, one request per slot with its own seed. An event loop in a thread of its own
does the asking; slots are pulled as others finish, so that memory stays flat whatever their number.

    launched          starts `vllm serve` where the recipe says `launch`
    server_look       what the servers are and have, before the first slot
    server_pool       which request goes where, what is tried again, who is away
    concurrency       how many requests one server is given at once
    server_client     one request to one endpoint
    server_answers    what an endpoint answered, and which fault it is
    server_requests   what is asked for a slot, what is stored of an answer

What an endpoint serves behind a name is what its owner says: the revision is the one the recipe declares. URLs, keys,
prices and concurrency are no part of the identity. A key is read from the environment and is never written anywhere;
what of a recipe could hold one by mistake is not repeated in messages.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from factory.config import Config
from factory.errors import PolicyError, UsageError
from factory.identity import config_json, digest
from factory.policy.hub_model import HubModelConfig
from factory.policy.launched import LaunchedServers, LaunchOptions
from factory.policy.model_files import Located, locate, model_name
from factory.policy.prompt import form_hash, read_chat_template
from factory.policy.protocol import Policy, PromptForm, Sampling, taken
from factory.policy.server_answers import Answer, Fault
from factory.policy.server_client import ServerClient, allow_connections, import_aiohttp, open_session
from factory.policy.server_look import Look, PromptTokens, look, request_form
from factory.policy.server_pool import Result, Server, ServerPool, Timing
from factory.policy.server_requests import CHAT, NEW_LIMIT, OLD_LIMIT, RequestForm
from factory.policy.torch import sampling_facts, sampling_identity
from factory.records import Completion, Failure, PolicyStatus, Slot

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_START_VLLM, _START_OTHER = 64, 8
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_T = TypeVar("_T")


class _Closed(PolicyError):
    """The policy was closed meanwhile, by another thread."""


class Prices(Config):
    """What an endpoint charges for a million tokens, in any currency."""

    prompt: float = Field(ge=0.0)
    """For tokens of prompts."""
    completion: float = Field(ge=0.0)
    """For tokens of completions."""


class ServerPolicyConfig(HubModelConfig):
    """OpenAI-compatible endpoints that all serve the same model."""

    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["server"] = "server"
    model: str = Field(min_length=1)
    """With `urls`, the endpoints' name for the model; with `launch`, a folder, a Hub id or `builtin:micro`."""
    urls: tuple[str, ...] = ()
    """Base URLs, e.g. `http://localhost:8000/v1`; without keys."""
    launch: LaunchOptions | None = None
    """Start `vllm serve` here instead, and stop it at the end."""
    revision: str | None = None
    """With `urls`, what the user declares the model's revision to be; with `launch`, a branch, tag or commit."""
    api_key_env: str | None = None
    """Environment variable, in capitals, that holds the key of all URLs."""
    dialect: Literal["auto", "vllm", "openai"] = "auto"
    """Whether the endpoints understand vLLM's own parameters; `auto` asks them."""
    max_in_flight: int = Field(default=256, ge=1, le=65536)
    """Most requests that one server is given at once; how many it really is given follows from what it can take."""
    timeout_s: float = Field(default=3600.0, gt=0.0)
    """Longest time for one completion."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    """Requests that a slot is given before it is set aside as a failure."""
    outage_s: float = Field(default=600.0, gt=0.0)
    """How long the run waits when no server is usable; then it ends, and can be resumed."""
    price_per_million: Prices | None = None
    """What a million tokens cost, for the cost of each trace."""

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_more(cls, urls: Any) -> Any:
        return (urls,) if isinstance(urls, str) else urls

    @field_validator("urls")
    @classmethod
    def _plain_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(_plain_url(url) for url in urls)
        if len(set(plain)) < len(plain):
            raise ValueError("a URL is named twice")
        return plain

    @field_validator("api_key_env", mode="before")
    @classmethod
    def _name_of_variable(cls, name: Any) -> Any:
        if name is not None and not (isinstance(name, str) and _VARIABLE.fullmatch(name)):
            raise ValueError("`api_key_env` must be the NAME of an environment variable, in capitals, not a key")
        return name

    @model_validator(mode="after")
    def _urls_or_launch(self) -> Self:
        if bool(self.urls) == (self.launch is not None):
            raise ValueError("give either `urls` or `launch`")
        if self.launch is not None and (self.api_key_env or self.price_per_million or self.dialect != "auto"):
            raise ValueError("`api_key_env`, `price_per_million` and `dialect` go with `urls`, not with `launch`")
        return self

    @property
    def lock_key(self) -> str | None:
        """Key of a Hub id that is launched; None for URLs, folders, and where the recipe gives the commit."""
        return None if self.launch is None else super().lock_key

    def resolve(self) -> tuple[ServerPolicyConfig, ...]:
        """Pin the commits of what is launched from the Hub; endpoints are what their owner says."""
        if self.launch is None:
            return (self,)
        pinned = self.launch.pin_adapter()
        launch = self.launch.model_copy(update={"adapter_revision": pinned or self.launch.adapter_revision})
        return (self.model_copy(update={"revision": self.pinned_revision(), "launch": launch}),)

    def fingerprint(self, sampling: Sampling, form: PromptForm) -> str:
        """Return the policy's fingerprint; asks no server."""
        return digest(self._identity(self._locate(with_weights=False), sampling, form))

    def open(self, sampling: Sampling, form: PromptForm) -> ServerPolicy:
        """Launch or look up the servers. Raises PolicyError if none is usable, or one does not have the model."""
        return ServerPolicy(self, sampling, form)

    def _locate(self, *, with_weights: bool) -> Located | None:
        if self.launch is None:
            return None
        return locate(self.model, revision=self.revision, with_weights=with_weights)

    def _identity(self, located: Located | None, sampling: Sampling, form: PromptForm) -> dict[str, Any]:
        """Return what the fingerprint is the hash of."""
        identity: dict[str, Any] = {"engine": self.kind, "sampling": sampling_identity(sampling)}
        if located is not None and self.launch is not None:
            template = read_chat_template(located.folder)
            identity |= {"weights": located.weights, **self.launch.identity(located.folder)}
            return {**identity, "form": form_hash(template, form)}
        identity["weights"] = {"model": self.model, "revision": self.revision, "declared": True}
        if form.template == "r1-zero":
            return {**identity, "form": form_hash(None, form)}
        return {**identity, "form": {"template": "the server's own", "form": config_json(form)}}


class ServerPolicy(Policy):
    """Servers that answer. Not for several threads at once, but for `status` and `close`."""

    def __init__(
        self, config: ServerPolicyConfig, sampling: Sampling, form: PromptForm, *, timing: Timing | None = None
    ) -> None:
        import_aiohttp()
        self.unit_size: int | None = None
        self.engine = "openai-compatible"
        self._config, self._sampling, self._form = config, sampling, form
        self._timing = timing or Timing(max_attempts=config.max_attempts, outage_s=config.outage_s)
        self._located = config._locate(with_weights=True)
        self._launched: LaunchedServers | None = None
        self._session: Any = None
        self._pool: ServerPool | None = None
        self._outstanding = 0
        self._warned = False
        self._lock, self._is_closed = threading.Lock(), False
        self._key = _read_key(config)
        if config.launch is None and config.dialect == "openai":
            RequestForm(model=config.model, sampling=sampling, form=form, dialect="openai").check()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()
        try:
            self._requests = self._run(self._open())
        except BaseException:
            self.close()
            raise
        self.can_continue = self._requests.dialect == "vllm" or form.template == "r1-zero"
        self._identity = config._identity(self._located, sampling, form)
        self.fingerprint = digest(self._identity)
        weights = self._identity["weights"]
        self.description: dict[str, Any] = {
            "kind": config.kind,
            "model": config.model if self._located is None else model_name(config.model),
            "revision": weights["revision"] if isinstance(weights, dict) else weights,
            **(
                {}
                if config.launch is None or not config.launch.adapter
                else {"adapter": model_name(config.launch.adapter)}
            ),
            "dialect": self._requests.dialect,
            "form": config_json(form),
            "sampling": sampling_facts(sampling),
            "identity": self._identity,
        }

    def sample(self, slots: Iterable[Slot | None]) -> Iterator[Completion | Failure]:
        """Yield a completion or a failure per slot as they finish; slots are pulled as others are given back."""
        assert self._pool is not None, "sample() after close()"
        pool, results, stream = self._pool, SimpleQueue[Result](), iter(slots)
        self._run(_do(pool.begin, results.put))
        exhausted = False
        try:
            while True:
                room = pool.capacity() - self._outstanding
                if not exhausted and room > 0:
                    batch, more = taken(stream, room)
                    self._outstanding += len(batch)
                    exhausted = not more
                    self._tell(pool.add, batch)
                    if len(batch) < room:
                        self._tell(pool.no_more)
                if self._outstanding == 0:
                    return
                for result in _available(results):
                    if isinstance(result, BaseException):
                        raise result
                    self._outstanding -= 1
                    yield result
        finally:
            self._outstanding = 0
            with contextlib.suppress(_Closed, concurrent.futures.CancelledError):  # another thread may close it
                self._run(pool.cancel())

    def load_weights(self, weights: Path | Mapping[str, torch.Tensor]) -> None:
        """Raise PolicyError: servers hold their own weights."""
        del weights
        raise PolicyError(
            "the weights of a server cannot be replaced",
            hint="use `kind: vllm`, or launch servers on the new checkpoint",
        )

    def status(self) -> PolicyStatus:
        """Say what is in flight where; from any thread."""
        servers = () if self._pool is None else tuple(server.status() for server in self._pool.servers)
        return PolicyStatus(in_flight=self._outstanding, servers=servers)

    def close(self) -> None:
        """Stop what is in flight and the servers that were launched, and wait until they are gone."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        finally:
            self._pool = None
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the loop's thread and wait for it."""
        try:
            with self._open_loop() as loop:
                future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except _Closed:
            coroutine.close()
            raise
        return future.result()

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Let the loop's thread call a function, and do not wait for it."""
        with self._open_loop() as loop:
            loop.call_soon_threadsafe(function, *arguments)

    @contextlib.contextmanager
    def _open_loop(self) -> Iterator[asyncio.AbstractEventLoop]:
        """Give the loop to hand something over; what is handed over to one that closes would never be run."""
        with self._lock:
            if self._is_closed:
                raise _Closed("the policy is closed")
            yield self._loop

    async def _open(self) -> RequestForm:
        config = self._config
        num_servers = len(config.urls) if config.launch is None else config.launch.count
        allow_connections(num_servers * config.max_in_flight)
        self._session = open_session()
        urls, name = config.urls, config.model
        if config.launch is not None:
            assert self._located is not None
            self._launched = LaunchedServers(config.launch, self._located.folder, name=model_name(config.model))
            urls, name, self._key = self._launched.urls, self._launched.served_name, self._launched.key
        clients = [ServerClient(self._session, url, key=self._key, timeout_s=config.timeout_s) for url in urls]
        if self._launched is not None:
            await self._launched.start(clients)
        seen = await look(
            clients,
            name,
            dialect=config.dialect,
            api_key_env=config.api_key_env,
            max_tokens=self._sampling.max_tokens,
        )
        self.engine = seen.engine
        usable = next(client for client, away in zip(clients, seen.away, strict=True) if away is None)
        requests = await request_form(usable, name, seen.dialect, self._sampling, self._form)
        self._prompt_tokens = PromptTokens(requests)
        self._start_pool(clients, seen)
        return requests

    def _start_pool(self, clients: Sequence[ServerClient], seen: Look) -> None:
        vllm = seen.dialect == "vllm"
        start = _START_VLLM if vllm else _START_OTHER
        servers = [Server(client, max_in_flight=self._config.max_in_flight, start=start) for client in clients]
        self._pool = ServerPool(servers, self._ask, self._timing, health_path="/health" if vllm else None)
        for server, reason in zip(servers, seen.away, strict=True):
            if reason is not None:
                self._pool.mark_down(server, reason)
        self._pool.start()
        if self._launched is not None:
            self._launched.watch(self._pool)

    async def _ask(self, client: ServerClient, slot: Slot) -> Completion | Fault:
        requests = self._requests
        prompt_ids = None
        if requests.needs_tokens(slot):
            ids = await self._prompt_tokens.of(client, slot)
            if isinstance(ids, Fault):
                return ids
            prompt_ids = ids
        started_at, clock = time.time(), time.perf_counter()
        streamed, limit_name = requests.stream, requests.max_tokens_name
        path, body = requests.body(slot, prompt_ids=prompt_ids)
        if streamed:
            outcome = await client.stream(path, body, self._sampling.loop_cut)
        else:
            outcome = await client.complete(path, body)
        if isinstance(outcome, Fault):
            old_name = path == CHAT and limit_name == OLD_LIMIT
            again = self._adapted(outcome, streamed=streamed, old_name=old_name)
            return await self._ask(client, slot) if again else outcome
        seconds = time.perf_counter() - clock
        chat = prompt_ids is None and self._form.template == "model"
        return self._completion(client, slot, outcome, chat=chat, started_at=started_at, seconds=seconds)

    def _completion(
        self, client: ServerClient, slot: Slot, answer: Answer, *, chat: bool, started_at: float, seconds: float
    ) -> Completion | Fault:
        text = self._requests.stored_text(slot, answer, chat=chat)
        count, sampling = answer.num_completion_tokens, self._sampling
        token_ids = answer.token_ids if sampling.token_ids else None
        logprobs = answer.logprobs if sampling.logprobs else None
        if (sampling.token_ids and _lacks(token_ids, count)) or (sampling.logprobs and _lacks(logprobs, count)):
            if self._requests.dialect == "vllm":
                message = f"the answer lacks the ids or the log-probabilities of its {count} tokens"
                return Fault(error="refused", message=message, permanent=True)
            logprobs = None
            self._warn_of_logprobs()
        completion = Completion(
            trace_id=slot.trace_id,
            text=text,
            finish_reason=answer.finish_reason,
            num_prompt_tokens=answer.num_prompt_tokens,
            num_completion_tokens=count,
            token_ids=token_ids,
            logprobs=logprobs,
            started_at=started_at,
            seconds=seconds,
            host=client.url,
            cost=self._cost(answer),
        )
        if answer.content or answer.reasoning or answer.finish_reason != "stop":
            return completion
        # Mostly a server's mistake. But a model can end at once, and vLLM's tokens say that it did: then that is it.
        believed = completion if self._requests.dialect == "vllm" else None
        return Fault(error="empty", message="the answer is empty", otherwise=believed)

    def _warn_of_logprobs(self) -> None:
        """Say once that an endpoint has its own way of counting tokens: asking it again would change nothing."""
        if not self._warned:
            log.warning("the endpoint does not return a log-probability for each token: there `logprobs` stay empty")
        self._warned = True

    def _cost(self, answer: Answer) -> float | None:
        prices = self._config.price_per_million
        if prices is None:
            return None
        return (answer.num_prompt_tokens * prices.prompt + answer.num_completion_tokens * prices.completion) / 1e6

    def _adapted(self, fault: Fault, *, streamed: bool, old_name: bool) -> bool:
        """Change how requests are written, if the fault says that the endpoint wants them so; say if it can help.

        Once for each of the two ways in which the request was written that can be changed: it may be its prompt that
        the fault speaks of.
        """
        requests, said = self._requests, fault.message
        if fault.error != "refused":
            return False
        if streamed and "stream" in said.lower():
            if requests.stream:
                log.warning("the server refuses to stream: loops are not cut there")
            requests.stream = False
            return True
        if old_name and NEW_LIMIT in said:
            requests.max_tokens_name = NEW_LIMIT
            return True
        return False

    async def _shut(self) -> None:
        if self._pool is not None:
            await self._pool.stop()
        if self._launched is not None:
            await self._launched.stop()
        if self._session is not None:
            await self._session.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _plain_url(url: str) -> str:
    """Return a base URL without a slash at its end. Raises ValueError, which does not repeat it, for one that holds a
    secret or is none.
    """
    advice = "put the key in an environment variable and name it in `api_key_env`"
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise ValueError("`urls` holds something that is no URL, e.g. http://localhost:8000/v1") from None
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ValueError(f"the URL of {parts.hostname} holds a user or a password: {advice}")
    if parts.query or parts.fragment:
        raise ValueError(f"the URL of {parts.hostname} holds a query, where keys are often put: {advice}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("`urls` holds something that is no http URL, such as http://localhost:8000/v1")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))


def _read_key(config: ServerPolicyConfig) -> str | None:
    if config.api_key_env is None:
        return None
    key = os.environ.get(config.api_key_env, "").strip()
    if not key:
        raise UsageError(
            f"the environment variable {config.api_key_env} is not set, which `api_key_env` names",
            hint=f"export {config.api_key_env}=…, or remove `api_key_env`",
        )
    for url in config.urls:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in _LOCAL:
            log.warning("the key in %s goes to %s unencrypted", config.api_key_env, parts.hostname)
    return key


def _lacks(values: Sequence[float] | None, count: int) -> bool:
    return values is None or len(values) != count


def _available(results: SimpleQueue[Result]) -> Iterator[Result]:
    """Yield what is there, waiting for the first."""
    yield results.get()
    while not results.empty():
        yield results.get()


async def _do(function: Any, *arguments: Any) -> None:
    function(*arguments)
