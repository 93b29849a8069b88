"""Recipes: YAML files with optional sections in the order the data flows.

    load        file -> Recipe, or a RecipeError with file, line and a hint
    dump        Recipe -> YAML
    Recipe      the sections, validated

YAML 1.2 (a language code `no` is a string, `1e-6` a number), no duplicate keys, no unknown ones. Imports nothing heavy:
what a section needs is loaded when its step runs.
"""

from __future__ import annotations

import difflib
import io
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from factory.config import Config
from factory.errors import RecipeError
from factory.filter.kinds import AnyTraceFilter
from factory.identity import config_json
from factory.judging import JudgeUse
from factory.lock import Lock
from factory.mix import MixSection
from factory.policy.model_files import model_name
from factory.publish.section import PublishSection
from factory.sample import SampleSection
from factory.source.kinds import SourceSection
from factory.train.kinds import AnyTrainer

STEPS = ("source", "sample", "verify", "filter", "mix", "publish", "train")
"""The steps, in the order the data flows; each is the name of a section."""

_NEEDS = {"sample": "source", "verify": "sample", "filter": "sample", "mix": "sample", "publish": "mix"}


class Recipe(Config):
    """A recipe: it has the sections it needs and no more."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
    """Name of the recipe, its corpus, its card and its Hub repository."""
    seed: int = Field(default=0, ge=0)
    """Decides every order, pick and split."""
    description: str = ""
    """What it builds, for the card."""
    source: SourceSection | None = None
    """Where problems come from."""
    sample: SampleSection | None = None
    """Which policy completes them."""
    verify: tuple[JudgeUse, ...] = ()
    """Which judges give verdicts."""
    filter: tuple[AnyTraceFilter, ...] = ()
    """Which traces pass."""
    mix: MixSection | None = None
    """Which of those make the corpus."""
    publish: PublishSection | None = None
    """How the corpus is documented."""
    train: AnyTrainer | None = None
    """Which policy is trained."""

    _lock: Lock = PrivateAttr(default_factory=Lock)

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
        """Load a recipe file; see `load`."""
        return load(path, overrides)

    @property
    def lock(self) -> Lock:
        """The lock file beside the recipe's file; one that keeps nothing for a recipe made in memory."""
        return self._lock

    def sections(self) -> list[str]:
        """Return the steps this recipe has, in order."""
        return [step for step in STEPS if getattr(self, step)]

    @model_validator(mode="after")
    def _is_connected(self) -> Recipe:
        for step, needed in _NEEDS.items():
            if getattr(self, step) and not getattr(self, needed):
                raise ValueError(f"the section `{step}` needs a section `{needed}`")
        if not self.sections():
            raise ValueError(f"the recipe has no section: give it some of {', '.join(STEPS)}")
        kinds = [use.judge.kind for use in self.verify]
        for number, filter_ in enumerate(self.filter):
            for kind in filter_.judges():
                if kind not in kinds:
                    given = ", ".join(kinds) or "none"
                    raise _PlacedError(
                        ("filter", number), f"the filter reads the judge {kind!r}, but `verify` has: {given}"
                    )
        for number, use in enumerate(self.verify):
            for other in self.verify[:number]:
                shared = use.domains is None or other.domains is None or set(use.domains) & set(other.domains)
                if use.judge.kind == other.judge.kind and shared:
                    raise _PlacedError(("verify", number), f"the judge {use.judge.kind!r} is used twice on one domain")
        return self


class _PlacedError(ValueError):
    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def load(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe file. `overrides` are `section.key=value` as `--set` takes them.

    Relative paths in the file are relative to the file, those in overrides to the working directory. Raises RecipeError
    with `file:line` and a hint for anything that is wrong, before any work starts.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        near = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, near, n=1)
        hint = (
            f"did you mean {path.parent / close[0]}?"
            if close
            else "give the path of a recipe, e.g. recipes/quickstart.yaml"
        )
        raise RecipeError("there is no such recipe", place=str(path), hint=hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot be read: {error}", place=str(path)) from error
    tree = _parse(text, path)
    _resolve_paths(tree, path.parent)
    places: dict[tuple[str | int, ...], str] = {}
    for override in overrides:
        _override(tree, override, places)
    try:
        recipe = Recipe.model_validate(_plain(tree))
    except ValidationError as error:
        raise _recipe_error(error, tree, path, places) from error
    _check_files(tree, path, places)
    recipe._lock = Lock(path.with_suffix(".lock"))
    return recipe


def dump(recipe: Recipe) -> str:
    """Write a recipe as YAML, for others to read: what it says, overrides put in, defaults left out, of a path the
    file's name, and of servers how many there are but not where."""
    data = config_json(recipe)
    data["verify"] = [
        {**use["judge"], **{k: v for k, v in use.items() if k not in ("judge", "sampling")}, **use.get("sampling", {})}
        for use in data.get("verify", [])
    ]
    for use in data["verify"]:
        if use["kind"] == "reward_model":
            use["model"] = model_name(use["model"])
    asked = [use["policy"] for use in data["verify"] if "policy" in use]
    for policy in [*asked, *([data["sample"]["policy"]] if recipe.sample is not None else [])]:
        for part in (policy, policy.get("launch") or {}):
            for key in part.keys() & ({"adapter"} if "urls" in policy else {"model", "adapter"}):
                part[key] = model_name(part[key])
        if "urls" in policy:
            policy["urls"] = [f"http://server-{place}.invalid/v1" for place in range(1, len(policy["urls"]) + 1)]
    stream = io.StringIO()
    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump({key: value for key, value in data.items() if value not in ([], None)}, stream)
    return stream.getvalue()


def _parse(text: str, path: Path) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        message = (error.problem or error.context or "is no YAML").splitlines()[0]
        raise RecipeError(message, place=f"{path}{line}") from error
    except YAMLError as error:
        raise RecipeError(str(error).splitlines()[0], place=str(path)) from error
    if not isinstance(tree, CommentedMap):
        raise RecipeError("a recipe is a mapping with the keys name, source, sample, …", place=f"{path}:1")
    return tree


def _override(tree: CommentedMap, override: str, places: dict[tuple[str | int, ...], str]) -> None:
    key, equals, text = override.partition("=")
    place = f"--set {key.strip()}"
    if not equals or not key.strip():
        raise RecipeError("is not of the form key=value", place=place, hint="e.g. --set sample.group_size=4")
    try:
        value = YAML(typ="rt").load(text) if text else ""
    except YAMLError as error:
        raise RecipeError("the value is no YAML", place=place) from error
    steps: list[str | int] = [
        int(step) if step.isdecimal() and step.isascii() else step for step in key.strip().split(".")
    ]
    node: Any = tree
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(node, CommentedSeq):
            if not isinstance(step, int) or step >= len(node):
                raise RecipeError(f"there is no item {step!r} in a list of {len(node)}", place=place)
        elif not isinstance(node, CommentedMap):
            raise RecipeError(f"{step!r} is inside a value that is no mapping", place=place)
        if following is None:
            if step == "path" and isinstance(value, str):
                value = str(Path(value).absolute())
            node[step] = value
        else:
            if isinstance(node, CommentedMap) and node.get(step) is None:
                node[step] = CommentedMap()
            node = node[step]
    places[tuple(steps)] = place


def _resolve_paths(node: Any, folder: Path) -> None:
    """Make the values of keys named `path`, and models and adapters given as `./folder`, relative to the recipe's
    folder."""
    if isinstance(node, CommentedMap):
        for key, value in node.items():
            is_folder = key in ("model", "adapter") and isinstance(value, str) and value.startswith(("./", "../"))
            if isinstance(value, str) and (key == "path" or is_folder):
                node[key] = str(folder / value)
            else:
                _resolve_paths(value, folder)
    elif isinstance(node, CommentedSeq):
        for value in node:
            _resolve_paths(value, folder)


def _check_files(tree: CommentedMap, path: Path, places: dict[tuple[str | int, ...], str]) -> None:
    def walk(node: Any, at: tuple[str | int, ...]) -> None:
        if isinstance(node, Mapping):
            for key, value in node.items():
                if key == "path" and isinstance(value, str) and not _is_file(Path(value)):
                    close = difflib.get_close_matches(Path(value).name, _siblings(Path(value)), n=1)
                    raise RecipeError(
                        f"there is no file {value}",
                        place=_place(tree, (*at, key), path, places),
                        hint=f"did you mean {close[0]}?" if close else "paths are relative to the recipe's folder",
                    )
                walk(value, (*at, key))
        elif isinstance(node, (list, tuple)):
            for number, value in enumerate(node):
                walk(value, (*at, number))

    walk(tree, ())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _siblings(path: Path) -> list[str]:
    try:
        return sorted(p.name for p in path.parent.iterdir())
    except OSError:
        return []


def _plain(node: Any) -> Any:
    """Turn ruamel's nodes into plain Python data."""
    if isinstance(node, Mapping):
        return {(str(k) if isinstance(k, str) else k): _plain(v) for k, v in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(v) for v in node]
    if isinstance(node, bool) or node is None:
        return node
    for plain in (int, float, str):
        if isinstance(node, plain):
            return plain(node)
    return node


def _recipe_error(
    error: ValidationError, tree: CommentedMap, path: Path, places: dict[tuple[str | int, ...], str]
) -> RecipeError:
    # A misspelt key is also a missing one: say the spelling first.
    first = min(error.errors(), key=lambda e: e["type"] == "missing")
    loc = tuple(first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, _PlacedError):
        loc = cause.path
    if first["type"] == "union_tag_invalid":
        loc = (*loc, "kind")
    message, hint = _message(first, loc)
    more = error.error_count() - 1
    if more:
        hint = (f"{hint}\n      " if hint else "") + f"{more} more {'thing is' if more == 1 else 'things are'} wrong"
    return RecipeError(message, place=_place(tree, loc, path, places), hint=hint)


def _message(first: Any, loc: tuple[str | int, ...]) -> tuple[str, str | None]:
    name = next((str(step) for step in reversed(loc) if isinstance(step, str)), "the recipe")
    kind = first["type"]
    value = first["input"]
    if kind == "extra_forbidden":
        known = _known_keys(loc[:-1])
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        listed = f"known keys: {', '.join(known)}" if known else None
        return f"unknown key {loc[-1]!r}", f"did you mean {close[0]!r}?" if close else listed
    if kind == "missing":
        return f"{name!r} is missing", None
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in str(first["ctx"]["expected_tags"]).split(",")]
        tag = str(first["ctx"]["tag"])
        close = [t for t in tags if t.startswith(tag)] or difflib.get_close_matches(tag, tags, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"kinds: {', '.join(tags)}"
        return f"unknown kind {tag!r}", hint
    if kind == "union_tag_not_found":
        return "`kind` is missing", None
    if kind == "value_error":
        return str(first["ctx"]["error"]), None
    expected = first["msg"][0].lower() + first["msg"][1:]
    shown = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {type(value).__name__}"
    return f"{name}: {expected}, not {shown[:80]}", None


def _place(tree: CommentedMap, loc: tuple[str | int, ...], path: Path, places: dict[tuple[str | int, ...], str]) -> str:
    """Find the line of an error: follow its location as far as the YAML has it (tags of unions are not in the YAML)."""
    node: Any = tree
    line = 0
    at: tuple[str | int, ...] = ()
    for step in loc:
        if (isinstance(node, CommentedMap) and step in node) or (
            isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node)
        ):
            if step in (node.lc.data or ()):  # a mapping that an override made has no lines
                line = node.lc.data[step][0]
        else:
            continue
        at = (*at, step)
        node = node[step]
        if at in places:
            return places[at]
    inside = [place for steps, place in places.items() if at and steps[: len(at)] == at]
    return inside[0] if inside and not line else f"{path}:{line + 1}"


def _known_keys(loc: tuple[str | int, ...]) -> list[str]:
    """Name the keys that the model at a location of an error takes."""
    models: list[type[BaseModel]] = [Recipe]
    for step in loc:
        if isinstance(step, int):
            continue
        following: list[type[BaseModel]] = []
        for model in models:
            for name, field in model.model_fields.items():
                if step in (name, field.alias):
                    following += _models_of(field.annotation)
        tagged = [m for m in models if "kind" in m.model_fields and m.model_fields["kind"].default == step]
        models = following or tagged or models
    keys: dict[str, None] = {}
    for model in models:
        names = [field.alias or name for name, field in model.model_fields.items()]
        keys.update(dict.fromkeys(names))
    if loc and loc[0] == "verify":  # a judge's fields and those of its use stand side by side
        keys = dict.fromkeys([*(k for k in keys if k != "judge"), "domains"])
    return list(keys)


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in typing.get_args(annotation) for model in _models_of(part)]
