"""A small Hub for tests: datasets with commits, served to the real clients on a port of this machine.

In: `HubServer.commit(dataset, files)`. Out: what `huggingface_hub` and `datasets` ask for when they look up the newest
commit of a dataset, list its files and read them (whole or by range), with the Hub's headers and error codes. Every
request is kept in `requests`. Not served: models, uploads, Xet, redirects to a content network.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_API = re.compile(r"/api/datasets/(?P<dataset>[^/]+/[^/]+)(?:/(?P<verb>revision|tree|paths-info)/(?P<rest>.+))?")
_FILE = re.compile(r"/datasets/(?P<dataset>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")
_DATE = "2026-01-02T03:04:05.000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that came in."""

    method: str
    """GET, HEAD or POST."""
    path: str
    """Path and query."""
    token: str | None
    """The token it carried."""


@dataclass(slots=True)
class Dataset:
    """A dataset: its commits, the newest last."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Commit to its files."""
    gated_for: frozenset[str] | None = None
    """Tokens that may read the files; None lets everybody. As on the Hub, the list of the files is public."""

    def resolve(self, revision: str) -> str | None:
        """Return the commit of a revision."""
        if revision == "main":
            return next(reversed(self.commits))
        return revision if revision in self.commits else None


class HubServer:
    """The server. Use it in a `with`, or call `start` and `stop`; it keeps its port over both."""

    def __init__(self) -> None:
        self.datasets: dict[str, Dataset] = {}
        self.requests: list[Request] = []
        self.failing: HTTPStatus | None = None
        """What every request is answered with, to play a Hub in trouble."""
        self.torn: str | None = None
        """A name in whose files the connection breaks."""
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self._port}"

    def commit(self, dataset: str, files: Mapping[str, bytes], *, gated_for: frozenset[str] | None = None) -> str:
        """Make a commit with exactly these files; returns its hash."""
        known = self.datasets.setdefault(dataset, Dataset())
        known.gated_for = gated_for
        named = f"{dataset} {len(known.commits)} {sorted(files.items())}"
        commit = hashlib.sha1(named.encode()).hexdigest()
        known.commits[commit] = dict(files)
        return commit

    def start(self) -> None:
        """Serve, in a thread of its own."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving: the port refuses connections."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> HubServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    # One connection per request: a kept one would outlive `stop`.
    protocol_version = "HTTP/1.0"
    hub: HubServer

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the requests are kept in the hub."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.requests.append(Request(method=self.command, path=self.path, token=token))
        url = urllib.parse.urlsplit(self.path)
        if self.hub.failing is not None:
            self._error(self.hub.failing, None, "the server is in trouble")
        elif match := _API.fullmatch(url.path):
            self._api(match, urllib.parse.parse_qs(url.query), urllib.parse.parse_qs(body.decode()))
        elif match := _FILE.fullmatch(url.path):
            self._file(match, token)
        else:
            self._error(HTTPStatus.NOT_FOUND, None, "Sorry, we can't find the page you are looking for.")

    def _api(self, match: re.Match[str], query: dict[str, list[str]], form: dict[str, list[str]]) -> None:
        dataset = self._dataset(match["dataset"])
        if dataset is None:
            return
        revision, _, folder = (match["rest"] or "main").partition("/")
        commit = dataset.resolve(urllib.parse.unquote(revision))
        if commit is None:
            self._error(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        files = dataset.commits[commit]
        if match["verb"] == "tree":
            listed = _tree(files, urllib.parse.unquote(folder), recursive=query.get("recursive") == ["true"])
            if listed is None:
                self._error(HTTPStatus.NOT_FOUND, "EntryNotFound", f"{folder} does not exist on {revision}")
            else:
                self._json(listed, commit)
        elif match["verb"] == "paths-info":
            every = _tree(files, "", recursive=True) or []
            self._json([entry for entry in every if entry["path"] in form.get("paths", [])], commit)
        else:
            self._json(
                {
                    "_id": commit[:24],
                    "id": match["dataset"],
                    "author": match["dataset"].split("/")[0],
                    "sha": commit,
                    "lastModified": _DATE,
                    "createdAt": _DATE,
                    "private": False,
                    "gated": "manual" if dataset.gated_for is not None else False,
                    "disabled": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "siblings": [{"rfilename": path} for path in sorted(files)],
                },
                commit,
            )

    def _file(self, match: re.Match[str], token: str | None) -> None:
        dataset = self._dataset(match["dataset"])
        if dataset is None:
            return
        if dataset.gated_for is not None and token not in dataset.gated_for:
            status = HTTPStatus.UNAUTHORIZED if token is None else HTTPStatus.FORBIDDEN
            self._error(status, "GatedRepo", f"Access to dataset {match['dataset']} is restricted.")
            return
        commit = dataset.resolve(urllib.parse.unquote(match["revision"]))
        if commit is None:
            self._error(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {match['revision']}")
            return
        data = dataset.commits[commit].get(urllib.parse.unquote(match["path"]))
        if data is None:
            self._error(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found", commit=commit)
            return
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        part = _RANGE.fullmatch(self.headers.get("Range") or "")
        if part is None:
            self._send(HTTPStatus.OK, data, headers)
            return
        first, last = int(part["first"]), min(int(part["last"] or len(data) - 1), len(data) - 1)
        if first > last:
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self._send(HTTPStatus.PARTIAL_CONTENT, data[first : last + 1], headers)

    def _dataset(self, name: str) -> Dataset | None:
        dataset = self.hub.datasets.get(name)
        if dataset is None:  # to strangers the Hub does not say whether it is missing or private
            known = self.headers.get("Authorization")
            status = HTTPStatus.NOT_FOUND if known else HTTPStatus.UNAUTHORIZED
            self._error(status, "RepoNotFound" if known else None, "Repository not found")
        return dataset

    def _json(self, value: Any, commit: str) -> None:
        headers = {"Content-Type": "application/json", "X-Repo-Commit": commit}
        self._send(HTTPStatus.OK, json.dumps(value).encode(), headers)

    def _error(self, status: HTTPStatus, code: str | None, message: str, *, commit: str | None = None) -> None:
        headers = {"Content-Type": "application/json", "X-Error-Message": message}
        headers |= {"X-Error-Code": code} if code else {}
        headers |= {"X-Repo-Commit": commit} if commit else {}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: HTTPStatus, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            torn = self.hub.torn is not None and self.path.endswith(self.hub.torn)
            self.wfile.write(data[: len(data) // 2] if torn else data)


def _tree(files: Mapping[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, Any]] | None:
    """List what is in a folder, in the form of the Hub's API; None if there is no such folder."""
    start = f"{folder}/" if folder else ""
    inside = {path: data for path, data in files.items() if path.startswith(start)}
    if folder and not inside:
        return None
    entries: dict[str, dict[str, Any]] = {}
    for path, data in sorted(inside.items()):
        steps = path.removeprefix(start).split("/")
        folders = [start + "/".join(steps[:depth]) for depth in range(1, len(steps))]
        for name in folders if recursive else folders[:1]:
            entries[name] = {"type": "directory", "oid": _oid(name.encode()), "size": 0, "path": name}
        if recursive or not folders:
            entries[path] = {"type": "file", "oid": _oid(data), "size": len(data), "path": path}
    commit = {"id": "0" * 40, "title": "files", "date": _DATE}
    return [{**entry, "lastCommit": commit} for entry in entries.values()]


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
