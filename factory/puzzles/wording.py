"""Chinese wordings of problem families, made from an entry's metadata.

reasoning-gym words its problems in English only. Here a family has one template, filled with what the generator says
of the problem; a family that is missing can be asked in English only. Add a line to add a family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

ANIMALS_ZH: dict[str, str] = {
    "snake": "蛇",
    "sea slug": "海蛞蝓",
    "jellyfish": "水母",
    "flatworm": "扁虫",
    "leech": "水蛭",
    "chicken": "鸡",
    "bird": "鸟",
    "human": "人",
    "duck": "鸭",
    "dog": "狗",
    "cat": "猫",
    "cow": "牛",
    "horse": "马",
    "lion": "狮子",
    "elephant": "大象",
    "giraffe": "长颈鹿",
    "tiger": "老虎",
    "deer": "鹿",
    "sheep": "羊",
    "starfish": "海星",
    "insect": "昆虫",
    "ant": "蚂蚁",
    "butterfly": "蝴蝶",
    "beetle": "甲虫",
    "bee": "蜜蜂",
    "wasp": "黄蜂",
    "grasshopper": "蚱蜢",
    "cricket": "蟋蟀",
    "cockroach": "蟑螂",
    "praying mantis": "螳螂",
    "firefly": "萤火虫",
    "spider": "蜘蛛",
    "scorpion": "蝎子",
    "crab": "螃蟹",
    "lobster": "龙虾",
    "shrimp": "虾",
    "woodlouse": "鼠妇",
}
"""Names of the animals of `leg_counting`."""


def _numbers(metadata: Mapping[str, Any]) -> str:
    return "、".join(str(number) for number in metadata["numbers"])


def _animals(metadata: Mapping[str, Any]) -> str:
    return "、".join(f"{count} 只{ANIMALS_ZH[name]}" for name, count in metadata["animals"].items())


CHINESE: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "basic_arithmetic": lambda m: f"计算：{m['expression']}。",
    "chain_sum": lambda m: f"请给出下面这道算术题的最终结果：{m['expression']} =",
    "count_bits": lambda m: f"数字 {m['number']} 的二进制表示中有多少个 1？",
    "count_primes": lambda m: f"从 {m['start']} 到 {m['end']}（含两端）一共有多少个质数？",
    "gcd": lambda m: f"求下列各数的最大公约数：{_numbers(m)}。只需给出最大公约数。",
    "lcm": lambda m: f"求下列各数的最小公倍数：{_numbers(m)}。",
    "leg_counting": lambda m: f"数一数一共有多少条腿。现有 {_animals(m)}，请问一共有多少条腿？",
    "letter_counting": lambda m: f"字母“{m['target_letter']}”在下面这段文字中出现了多少次：“{' '.join(m['span'])}”？",
    "products": lambda m: f"请计算下面的乘法：{m['expression']}。只需给出结果。",
    "simple_equations": lambda m: f"解方程，求 {m['variable']} 的值：{m['equation']}",
    "spell_backward": lambda m: f"请把这个单词倒过来拼写（例如：sun -> nus）：{m['word']}",
}
"""Family → the question in Chinese, from the entry's metadata."""
