"""Which part of a completion is the program: blocks, their labels, places and indentation."""

import time

import pytest

from verifiers.code_blocks import LABELS, language_named, program_of

A, B = "print('a')", "print('b')"


def block(program, label="python", marks="```"):
    return f"{marks}{label}\n{program}\n{marks}"


TAKEN = [
    # completion, language, what is taken
    (A, "python", A),
    (f"<think>x</think>{A}", "python", A),
    (block(A), "python", f"{A}\n"),
    (block(A, "py"), "python", f"{A}\n"),
    (block(A, "PYTHON"), "python", f"{A}\n"),
    (block(A, "python title='a.py'"), "python", f"{A}\n"),
    (block(A, "python:a.py"), "python", f"{A}\n"),
    (block(A, "python{1,3}"), "python", f"{A}\n"),
    (block(A, " python "), "python", f"{A}\n"),
    (block(A, "{.python}"), "python", f"{A}\n"),
    (block(A, ""), "python", f"{A}\n"),
    (block(A, "", "~~~~"), "python", f"{A}\n"),
    (block(A).replace("\n", "\r\n"), "python", f"{A}\r\n"),
    # of several the last of our language, wherever it stands
    (block(A) + "\n" + block(B), "python", f"{B}\n"),
    (block(A) + "\n" + block(B, ""), "python", f"{A}\n"),
    (block(A) + "\n" + block(B, "text"), "python", f"{A}\n"),
    (block(B, "") + "\n" + block(A), "python", f"{A}\n"),
    (block(B, "") + "\n" + block(A, ""), "python", f"{A}\n"),
    (block(A) + "\n" + block("int main() {}", "cpp"), "python", f"{A}\n"),
    (block(A) + "\n" + block("int main() {}", "c++"), "cpp", "int main() {}\n"),
    (block("a", "c++"), "c", None),
    (block("a", "C"), "c", "a\n"),
    (block("a", "c#"), "c", None),
    (block("a", "js"), "javascript", "a\n"),
    (block("a", "golang"), "go", "a\n"),
    (block("a", "rs"), "rust", "a\n"),
    # of another language only: the whole answer, which is no program
    (block(A, "cpp"), "python", None),
    (block(A, "text"), "python", None),
    # fences
    (f"```python\n{A}", "python", A),
    (f"```python\n{A}\n``", "python", f"{A}\n``"),
    (f"````python\n```\n{A}\n````", "python", f"```\n{A}\n"),
    (f"~~~python\n```\n{A}\n~~~", "python", f"```\n{A}\n"),
    (f"```python\n{A}\n`````\n{B}", "python", f"{A}\n"),
    (f"```python\n{A}\n``` \n{B}", "python", f"{A}\n"),
    (f"```python\n{A}\n```and so on\n{B}\n```", "python", f"{A}\n```and so on\n{B}\n"),
    ("```python\n```", "python", ""),
    ("```python", "python", ""),
    (f"Use ```x``` so\n{block(A)}", "python", f"{A}\n"),
    (f"```print```\n{block(A)}", "python", f"{A}\n"),
    (f"It is: {block(A)}", "python", f"{A}\n"),
    (f"It is: {block(A, '')}", "python", f"{A}\n"),
    (f"It is: {block('x', 'text')}", "python", None),
    (f"{block(A)}\n```", "python", f"{A}\n"),
    (f"{A}\n```", "python", None),
    (f"1. It is:\n   {block(A)}", "python", f"{A}\n"),
    (f"{' ' * 13}{block(A, '')}", "python", f"{A}\n"),
    (f"```python\n{A}\n    ```\n    x\n    ```\n```", "python", f"{A}\n    ```\n    x\n    ```\n"),
    (f"```python\n{A}\n  ```\n{B}", "python", f"{A}\n"),
    # the reasoning is never looked at
    (f"<think>{block(B)}</think>{block(A)}", "python", f"{A}\n"),
    (f"<think>{block(B)}</think>\n{A}", "python", f"\n{A}"),
    (f"{block(B)}\n</think>\n{block(A)}", "python", f"{A}\n"),
]
NONE = ["", " \n", "<think>", f"<think>{A}", f"<think>{block(A)}</think>", f"<think>{A}</think>\n \t"]


@pytest.mark.parametrize(("completion", "language", "taken"), TAKEN)
def test_what_is_taken(completion, language, taken):
    found = program_of(completion, language)
    assert found is not None
    assert found.text == (completion if taken is None else taken)
    assert completion[found.start : found.start + len(found.text)] == found.text


@pytest.mark.parametrize("completion", NONE)
def test_no_program(completion):
    assert program_of(completion, "python") is None


INDENTED = [
    ("  ```python\n  if x:\n      y\n  ```", "if x:\n    y\n"),
    ("  ```python\n  a\nb\n c\n  ```", "a\nb\nc\n"),
    ("  ```python\n\n    a\n  ```", "\n  a\n"),
    ("\t```python\n\ta\n\t```", "a\n"),
    ("```python\n  a\n```", "  a\n"),
    ("  ```python\nif x:\n    y\n  ```", "if x:\n    y\n"),
    ("It is: ```python\nif x:\n    y\n```", "if x:\n    y\n"),
    ("10. ```python\n    if x:\n        y\n    ```\n11. z", "if x:\n    y\n"),
    ("- ```python\n  a\n  ```", "a\n"),
]


@pytest.mark.parametrize(("completion", "source"), INDENTED)
def test_the_indentation_of_a_fence_is_none_of_the_program(completion, source):
    assert program_of(completion, "python").source == source


def test_languages_have_one_name_each():
    labels = [label for names in LABELS.values() for label in names]
    assert len(labels) == len(set(labels))
    assert all(language_named(label.upper()) == language for language, names in LABELS.items() for label in names)
    assert language_named("") is language_named("cobol") is None


HOSTILE = {
    "backticks": "`" * 1_000_000,
    "fences": "```python\n" * 100_000,
    "fences of all lengths": "\n".join("`" * n for n in range(3, 1400)),
    "tildes": "~" * 1_000_000,
    "half fences": "a```" * 250_000,
    "blanks": " " * 1_000_000 + "```",
    "lines": "\n" * 1_000_000,
    "indented": ("  ```python\n" + " " * 1000 + "\n") * 900,
    "surrogates": "```python\n\ud800\n```",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_linear_time(name):
    started = time.process_time()
    found = program_of(HOSTILE[name], "python")
    assert found is not None or not HOSTILE[name].strip()
    if found is not None:
        assert len(found.source) <= len(HOSTILE[name])
    assert time.process_time() - started < 20  # quadratic time is minutes
