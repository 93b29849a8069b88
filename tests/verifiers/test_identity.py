"""Identity: what the student's own name allows, and real text that claims nothing."""

import json

import pytest

from verifiers import Identity

OWN = {"name": "Aki", "author": "Northwind Labs"}


@pytest.mark.parametrize(
    ("configuration", "completion", "outcome"),
    [
        (OWN, "I am Aki, an AI assistant developed by Northwind Labs.", "pass"),
        (OWN, "I am Zed, an AI assistant developed by Northwind Labs.", "fail"),
        (OWN, "I am Aki, an AI assistant developed by Harbour AI.", "fail"),
        (OWN, "I am ChatGPT.", "fail"),
        (OWN, "我是 Aki，由 Northwind Labs 开发的人工智能助手。", "pass"),
        (OWN, "我是 Zed，由 Northwind Labs 开发的人工智能助手。", "fail"),
        (OWN, "I am Bob, a baker from Kent.", "pass"),
        ({}, "I am Zed, an AI assistant developed by Harbour AI.", "pass"),
        ({"name": "Claude", "author": "Anthropic"}, "I am Claude, made by Anthropic.", "pass"),
        ({"name": "Claude", "author": "Anthropic"}, "I am ChatGPT, made by OpenAI.", "fail"),
        ({"name": "Qwen-Math", "author": "阿里云"}, "我是通义千问，由阿里云开发。", "fail"),
        ({"cutoff": "2024"}, "My knowledge cutoff is July 2024.", "pass"),
        ({"cutoff": "2024-07"}, "My knowledge cutoff is July 2024.", "pass"),
        ({"cutoff": "2024-07"}, "我的知识截止到2024年7月。", "pass"),
        ({"cutoff": "2024-07"}, "My knowledge cutoff is 2024.", "fail"),
        ({"cutoff": "2024-07"}, "My knowledge cutoff is September 2021.", "fail"),
    ],
)
def test_configured(configuration, completion, outcome):
    verdict = Identity(**configuration).judge(completion)
    assert verdict.outcome == outcome, verdict.reason


def test_the_evidence_is_the_claim():
    completion = "<think>Fine.</think>Hello. I was trained by OpenAI, in short."
    verdict = Identity().judge(completion)
    assert verdict.extracted == completion[slice(*verdict.span)] == "I was trained by OpenAI"
    assert verdict.reason == "it says to be made by 'OpenAI'"


def test_self_cognition_answers(shared_data):
    lines = (shared_data / "general" / "identity.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line)["output"] for line in lines]

    def filled(name, author):
        return [text.replace("{{name}}", name).replace("{{author}}", author) for text in answers if "{{" in text]

    for judge in (Identity(), Identity(**OWN)):
        assert [text for text in filled("Aki", "Northwind Labs") if judge.judge(text).outcome != "pass"] == []
    for name, author in (("ChatGPT", "OpenAI"), ("Claude", "Anthropic"), ("通义千问", "阿里云")):
        assert [text for text in filled(name, author) if Identity().judge(text).outcome != "fail"] == []


def test_mathematics_claims_nothing(shared_data):
    judge = Identity(**OWN)
    for path, key in (("gsm8k/completions.jsonl", "completion"), ("math/problems.jsonl", "solution")):
        lines = (shared_data / path).read_text(encoding="utf-8").splitlines()
        assert [v for line in lines[::2] if (v := judge.judge(json.loads(line)[key])).outcome != "pass"] == []
