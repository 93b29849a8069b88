"""One reward from several judges: in TRL's and verl's own calling conventions, from threads, forks and pickles."""

import inspect
import pickle
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from verifiers import Format, LanguageConsistency, MathAnswer, Repetition, as_reward

RIGHT = "<think>We add the two numbers and see that it is four.</think> \\boxed{4}"
BARE = "\\boxed{4}"  # right, without the form
WRONG = "<think>We add the two numbers and see that it is five.</think> \\boxed{5}"
PROMPT = "What is two and two? Please think about it carefully."


@pytest.fixture(scope="module")
def reward():
    made = as_reward([MathAnswer(), Format(), Repetition()], weights=[1.0, 0.25, 0.0], num_workers=1)
    with made.pool:
        yield made


def trl_call(reward, completions, **columns):
    """Call as TRL 1.16's GRPOTrainer._calculate_rewards does."""
    logged = {}
    extra = {"trainer_state": object(), "log_extra": print, "log_metric": logged.__setitem__}
    prompts = [PROMPT] * len(completions)
    ids = [[1, 2]] * len(completions)
    return reward(prompts=prompts, completions=completions, completion_ids=ids, **columns, **extra), logged


def test_rewards_are_weighted_sums_and_unknown_is_masked(reward):
    rewards, logged = trl_call(reward, [RIGHT, BARE, WRONG, RIGHT], reference=["4", "4", "4", True], level=[1, 2, 3, 4])
    assert rewards == [1.25, 1.0, 0.25, None]  # a reference that cannot be read says nothing of the completion
    assert logged == {
        "reward/math_answer": 0.5,
        "reward/format": 0.75,
        "reward/repetition": 1.0,
        "reward/unknown": 0.25,
    }
    assert reward.__name__ == "reward"
    assert not inspect.iscoroutinefunction(reward.__call__)
    assert trl_call(reward, [], reference=[])[0] == []


def test_conversations_are_scored_by_their_last_message(reward):
    chats = [
        [{"role": "assistant", "content": RIGHT}],
        [{"role": "assistant", "content": "\\boxed{4}", "reasoning_content": "two and two"}],
        [{"role": "assistant", "content": None, "tool_calls": []}],
        [
            {"role": "assistant", "content": "5"},
            {"role": "tool", "content": "6"},
            {"role": "assistant", "content": BARE},
        ],
        [{"role": "assistant", "content": [{"type": "text", "text": BARE}]}],
        [],
    ]
    asked = [[{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]] * len(chats)
    assert reward(completions=chats, prompts=asked, reference=["4"] * 6) == [1.25, 1.25, 0.0, 1.0, 1.0, 0.0]


# judges, weights, unknown, completion, reference, then: the reward
UNKNOWNS = [
    ([MathAnswer(), Format()], None, "mask", RIGHT, True, None),
    ([MathAnswer(), Format()], None, -0.5, RIGHT, True, -0.5),
    ([MathAnswer(), Format()], [0.0, 1.0], "mask", RIGHT, True, 1.0),  # one without weight masks nothing
    ([Format(), LanguageConsistency()], None, "mask", "<think>1 + 1</think>2", "2", 1.0),  # no words to measure
    ([Format(), Repetition()], [1.0, -1.0], "mask", "no no no no", "2", -0.25),
]


@pytest.mark.parametrize(("judges", "weights", "unknown", "completion", "reference", "expected"), UNKNOWNS)
def test_what_an_unknown_becomes(judges, weights, unknown, completion, reference, expected):
    made = as_reward(judges, weights=weights, unknown=unknown, num_workers=1)
    with made.pool:
        assert made(completions=[completion], reference=[reference], prompts=[PROMPT]) == [expected]


def test_wrong_use_is_told():
    with pytest.raises(ValueError, match="2 judges and 1 weights"):
        as_reward([MathAnswer(), Format()], weights=[1.0])
    with pytest.raises(ValueError, match="at least one judge"):
        as_reward([])
    with pytest.raises(ValueError, match="'mask' or a number"):
        as_reward([Format()], unknown="zero")
    with pytest.raises(TypeError, match=r"no column 'reference' \(there are: prompts, solution\)"):
        as_reward([MathAnswer()])(completions=[BARE], prompts=[PROMPT], solution=["4"])
    with pytest.raises(ValueError, match=r"unknown=0\.0"):
        as_reward([MathAnswer()]).compute_score("gsm8k", BARE, "4")
    assert as_reward([Format()])(completions=[RIGHT]) == [1.0]
    assert as_reward([MathAnswer()], column="solution")(completions=[BARE], solution=["4"]) == [1.0]


def test_verl_calls_it_one_by_one_or_in_batches():
    made = as_reward([MathAnswer(), Format()], weights=[1.0, 0.5], unknown=0.1, num_workers=1)
    with made.pool:
        # verl's NaiveRewardManager, with all it hands over
        row = made.compute_score(
            data_source="gsm8k", solution_str=BARE, ground_truth="4", extra_info={"num_turns": None}, reward_router=None
        )
        assert row == {"score": 1.0, "acc": 0.0, "unknown": 0.0, "math_answer": 1.0, "format": 0.0}
        rows = made.compute_scores(
            data_sources=["a"] * 3,
            solution_strs=[RIGHT, WRONG, RIGHT],
            ground_truths=["4", "4", None],
            extra_infos=None,
        )
    assert [(r["score"], r["acc"], r["unknown"]) for r in rows] == [(1.5, 1.0, 0.0), (0.5, 0.0, 0.0), (0.1, 0.0, 1.0)]
    assert len({tuple(r) for r in rows}) == 1  # verl makes columns of the rows
    assert all(type(value) is float for r in rows for value in r.values())


def test_any_thread_may_call_it(reward):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(reward(completions=[RIGHT, WRONG] * 20, reference=["4"] * 40)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[1.25, 0.25] * 20] * 4


def test_it_is_pickled_for_trainers_that_spawn():
    made = as_reward([MathAnswer(), Format()], num_workers=1, name="truth")
    with made.pool:
        assert made(completions=[RIGHT], reference=["4"]) == [2.0]  # its workers run by now
        payload = pickle.dumps(made)
    script = (
        "import os, pickle\n"
        f"reward = pickle.loads({payload!r})\n"
        f"assert reward.__name__ == 'truth'\n"
        f"ask = lambda: reward(completions=[{RIGHT!r}, {WRONG!r}], reference=['4', '4'])\n"
        "here = ask()\n"
        "pid = os.fork()\n"  # as trainers fork their data loaders
        "if pid == 0: os._exit(0 if ask() == here else 1)\n"
        "print(here, ask(), os.waitpid(pid, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[2.0, 1.0] [2.0, 1.0] 0", done.stderr


def test_the_ranks_of_a_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr("verifiers.reward.usable_cores", lambda: 64)
    found = []
    for ranks in ("1", "16", "100", "many"):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        found.append(as_reward([Format()]).pool.num_workers)
    assert found == [8, 4, 1, 8]


@pytest.mark.filterwarnings("ignore")  # TRL's own
def test_trls_own_trainer_calls_it_and_leaves_the_masked_row_out(reward):
    pytest.importorskip("trl", reason="TRL is not installed")
    import torch
    from accelerate import Accelerator
    from trl import GRPOTrainer
    from trl.trainer.utils import get_callable_name, is_async_callable

    logged = {}
    trainer = SimpleNamespace(
        accelerator=Accelerator(cpu=True),
        args=SimpleNamespace(report_to=[]),
        state=SimpleNamespace(global_step=1),
        environments=None,
        reward_funcs=[reward],
        reward_processing_classes=[None],
        reward_func_names=[get_callable_name(reward)],
        model=SimpleNamespace(training=True),
        _metrics={"train": {}},
        _step=0,
        _current_train_step_time=0.0,
        _log_completion_extra=print,
        _log_metric=logged.__setitem__,
    )
    assert trainer.reward_func_names == ["reward"]
    assert not is_async_callable(reward)
    inputs = [{"prompt": PROMPT, "reference": reference} for reference in ("4", "4", None)]
    calculate = inspect.unwrap(GRPOTrainer._calculate_rewards)
    rewards = calculate(trainer, inputs, [PROMPT] * 3, [RIGHT, WRONG, RIGHT], [[1], [2], [3]])
    assert rewards[:2].tolist() == [[1.25], [0.25]]
    assert torch.isnan(rewards[2]).all()  # the row that the trainer leaves out
    assert logged["reward/unknown"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("judges", "options", "said"),
    [
        ([MathAnswer], {}, "judge objects"),
        (["math_answer"], {}, "judge objects"),
        (MathAnswer(), {}, "judge objects"),
        ([MathAnswer()], {"weights": [float("nan")]}, "finite"),
        ([MathAnswer()], {"unknown": True}, "number"),
        ([MathAnswer()], {"num_workers": 0}, "at least 1"),
    ],
)
def test_what_is_no_reward_is_told_when_it_is_made(judges, options, said):
    with pytest.raises(ValueError, match=said):
        as_reward(judges, **options)


def test_a_column_of_another_length_is_named():
    reward = as_reward([MathAnswer()], num_workers=1)
    with pytest.raises(ValueError, match="'reference' has one text for 2 completions"):
        reward(["\\boxed{1}", "\\boxed{2}"], reference="12")
    with pytest.raises(ValueError, match="'reference' has 1 values for 2 completions"):
        reward(["\\boxed{1}", "\\boxed{2}"], reference=["1"])
