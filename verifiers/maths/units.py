"""Units of measure and currencies: what each one measures, and how many of the base unit it is.

In: words of a unit ("km/h", "square metres", "平方米"). Out: a `Unit`. Units of one dimension convert; a label that is
no unit is none here. Currencies do not convert: each is a dimension of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from flint import fmpq


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure."""

    dimension: tuple[tuple[str, int], ...]
    """Base dimensions and their powers, sorted: (("length", 1), ("time", -1)) for a speed."""
    factor: fmpq
    """How many base units one of it is."""
    offset: fmpq = fmpq(0)  # noqa: RUF009 - immutable
    """Added after the factor, for temperatures."""


_FOOT = fmpq(3048, 10000)
_POUND = fmpq(45359237, 100000000)
_TABLE: dict[str, tuple[str, fmpq | int, str]] = {
    # name: (dimension, how many base units, spellings)
    "m": ("length", 1, "m meter metre meters metres 米 公尺"),
    "km": ("length", 1000, "km kilometer kilometre kilometers kilometres kms 千米 公里"),
    "dm": ("length", fmpq(1, 10), "dm decimeter decimetre decimeters decimetres 分米"),
    "cm": ("length", fmpq(1, 100), "cm centimeter centimetre centimeters centimetres cms 厘米 公分"),
    "mm": ("length", fmpq(1, 1000), "mm millimeter millimetre millimeters millimetres 毫米"),
    "um": ("length", fmpq(1, 10**6), "um micrometer micrometre micrometers micron microns 微米"),
    "nm": ("length", fmpq(1, 10**9), "nm nanometer nanometre nanometers 纳米"),
    "in": ("length", _FOOT / 12, "in inch inches 英寸"),
    "ft": ("length", _FOOT, "ft foot feet 英尺"),
    "yd": ("length", 3 * _FOOT, "yd yard yards yds 码"),
    "mi": ("length", 5280 * _FOOT, "mi mile miles 英里"),
    "ly": ("length", 9460730472580800, "ly lightyear lightyears"),
    "kg": ("mass", 1, "kg kilogram kilograms kilogramme kgs 千克 公斤"),
    "g": ("mass", fmpq(1, 1000), "g gram grams gramme grammes gm 克"),
    "mg": ("mass", fmpq(1, 10**6), "mg milligram milligrams 毫克"),
    "t": ("mass", 1000, "t tonne tonnes ton tons 吨"),
    "jin": ("mass", fmpq(1, 2), "斤"),
    "lb": ("mass", _POUND, "lb lbs pounds-mass"),
    "oz": ("mass", _POUND / 16, "oz ounce ounces"),
    "s": ("time", 1, "s sec second seconds secs 秒 秒钟"),
    "ms": ("time", fmpq(1, 1000), "ms millisecond milliseconds 毫秒"),
    "min": ("time", 60, "min minute minutes mins 分钟 分"),
    "h": ("time", 3600, "h hr hour hours hrs 小时 时 个小时"),
    "day": ("time", 86400, "day days 天 日"),
    "week": ("time", 604800, "week weeks wk wks 周 星期"),
    "month": ("month", 1, "month months mo 个月 月"),
    "year": ("month", 12, "year years yr yrs 年"),
    "L": ("volume", fmpq(1, 1000), "L l liter litre liters litres 升"),
    "mL": ("volume", fmpq(1, 10**6), "mL ml milliliter millilitre milliliters millilitres cc 毫升"),
    "cL": ("volume", fmpq(1, 10**5), "cL cl centiliter"),
    "gal": ("volume", fmpq(3785411784, 10**12), "gal gallon gallons 加仑"),
    "qt": ("volume", fmpq(3785411784, 4 * 10**12), "qt quart quarts"),
    "pt": ("volume", fmpq(3785411784, 8 * 10**12), "pint pints"),
    "ha": ("area", 10000, "ha hectare hectares 公顷"),
    "mu": ("area", fmpq(2000, 3), "亩"),
    "acre": ("area", fmpq(316160658, 78125), "acre acres"),
    "N": ("force", 1, "N newton newtons 牛 牛顿"),
    "kN": ("force", 1000, "kN kilonewton kilonewtons"),
    "J": ("energy", 1, "J joule joules 焦 焦耳"),
    "kJ": ("energy", 1000, "kJ kilojoule kilojoules 千焦"),
    "cal": ("energy", fmpq(4184, 1000), "cal calorie calories 卡"),
    "kcal": ("energy", 4184, "kcal kilocalorie kilocalories 千卡 大卡"),
    "eV": ("energy ev", 1, "eV electronvolt"),
    "kWh": ("energy", 3600000, "kWh 度电"),
    "W": ("power", 1, "W watt watts 瓦 瓦特"),
    "kW": ("power", 1000, "kW kilowatt kilowatts 千瓦"),
    "MW": ("power", 10**6, "MW megawatt megawatts"),
    "Pa": ("pressure", 1, "Pa pascal pascals 帕"),
    "kPa": ("pressure", 1000, "kPa 千帕"),
    "MPa": ("pressure", 10**6, "MPa"),
    "atm": ("pressure", 101325, "atm atmospheres atmosphere"),
    "V": ("voltage", 1, "V volt volts 伏"),
    "mV": ("voltage", fmpq(1, 1000), "mV"),
    "kV": ("voltage", 1000, "kV"),
    "A": ("current", 1, "A amp amps ampere amperes 安"),
    "mA": ("current", fmpq(1, 1000), "mA"),
    "ohm": ("resistance", 1, "ohm ohms 欧 欧姆 \\Omega"),
    "kohm": ("resistance", 1000, "kohm k\\Omega"),
    "Mohm": ("resistance", 10**6, "Mohm M\\Omega"),
    "Hz": ("frequency", 1, "Hz hertz 赫兹"),
    "kHz": ("frequency", 1000, "kHz"),
    "MHz": ("frequency", 10**6, "MHz"),
    "GHz": ("frequency", 10**9, "GHz"),
    "rpm": ("frequency", fmpq(1, 60), "rpm"),
    "mol": ("amount", 1, "mol mole moles 摩尔"),
    "T": ("field", 1, "tesla teslas"),
    "F": ("capacitance", 1, "farad farads"),
    "C": ("charge", 1, "coulomb coulombs 库仑"),
    "K": ("temperature", 1, "K kelvin kelvins"),
    "degC": ("temperature", 1, "celsius 摄氏度 degC"),
    "degF": ("temperature", fmpq(5, 9), "fahrenheit 华氏度 degF"),
    "deg": ("angle", 1, "deg degs degree degrees 度"),
    "rad": ("radian", 1, "rad rads radian radians 弧度"),
    "rev": ("angle", 360, "revolution revolutions rev revs"),
    "times": ("times", 1, "倍"),
    "bit": ("data", 1, "bit bits 比特"),
    "byte": ("data", 8, "byte bytes B 字节"),
    "KB": ("data", 8000, "KB kB kilobyte kilobytes"),
    "MB": ("data", 8 * 10**6, "MB megabyte megabytes"),
    "GB": ("data", 8 * 10**9, "GB gigabyte gigabytes"),
    "TB": ("data", 8 * 10**12, "TB terabyte terabytes"),
    "dollar": ("dollar", 1, "dollar dollars usd USD US$ buck bucks 美元 美金"),
    "cent": ("dollar", fmpq(1, 100), "cent cents"),
    "euro": ("euro", 1, "euro euros eur EUR 欧元"),
    "pound": ("pound", 1, "pound pounds gbp GBP sterling 英镑"),
    "yuan": ("yuan", 1, "yuan rmb RMB CNY cny renminbi 元 块 块钱 人民币 元钱 元人民币"),
    "jiao": ("yuan", fmpq(1, 10), "jiao 角 毛"),
    "fen": ("yuan", fmpq(1, 100), "fen"),
    "penny": ("pound", fmpq(1, 100), "pence penny"),
    "yen": ("yen", 1, "yen JPY jpy 日元"),
    "¥": ("yuan", 1, "¥"),
    "rupee": ("rupee", 1, "rupee rupees INR inr Rs rs 卢比"),
    "HK$": ("hkdollar", 1, "HK$ HKD 港元 港币"),
    "C$": ("cadollar", 1, "C$ CAD"),
    "A$": ("audollar", 1, "A$ AUD"),
    "S$": ("sgdollar", 1, "S$ SGD"),
    "NT$": ("twdollar", 1, "NT$ TWD 新台币"),
    "peso": ("peso", 1, "peso pesos MXN"),
    "franc": ("franc", 1, "franc francs CHF"),
    "ruble": ("ruble", 1, "ruble rubles rouble roubles"),
    "won": ("won", 1, "won KRW"),
}  # fmt: skip
_NAMES: dict[str, str] = {
    spelling: name for name, (_, _, spellings) in _TABLE.items() for spelling in spellings.split()
}
_NAMES.update(
    {spelling.lower(): name for spelling, name in list(_NAMES.items()) if len(spelling) > 3 and spelling.isascii()}
)
_OFFSETS = {"degC": fmpq(27315, 100), "degF": fmpq(45967, 180)}
_DERIVED = {  # what the compound dimensions are made of
    "volume": (("length", 3),),
    "area": (("length", 2),),
    "force": (("length", 1), ("mass", 1), ("time", -2)),
    "energy": (("length", 2), ("mass", 1), ("time", -2)),
    "power": (("length", 2), ("mass", 1), ("time", -3)),
    "pressure": (("length", -1), ("mass", 1), ("time", -2)),
    "frequency": (("time", -1),),
}
_SQUARED = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3, "squared": 2, "cubed": 3}
_SHORTHAND = {"mph": "mi/h", "kph": "km/h", "kmph": "km/h", "kmh": "km/h", "mps": "m/s", "fps": "ft/s",
              "sqft": "ft^2",
              "sqm": "m^2", "立方米": "m^3", "平方米": "m^2", "平方厘米": "cm^2", "立方厘米": "cm^3",
              "平方千米": "km^2",
              "平方公里": "km^2", "平方分米": "dm^2", "立方分米": "dm^3", "平方毫米": "mm^2", "mpg": "mi/gal",
              "degrees celsius": "degC", "degree celsius": "degC", "degrees fahrenheit": "degF",
              "degree fahrenheit": "degF", "degrees c": "degC", "degrees f": "degF"}  # fmt: skip
_PIECES = re.compile(
    r"(?P<per>/|\bper\b|每)|(?P<power>\^\s*\{?\s*(-?\d)\s*\}?|\bsquared\b|\bcubed\b)|(?P<square>\b(?:square|sq|cubic|cu)\b\.?|平方|立方)"
    r"|(?P<word>[kM]?\\Omega|¥|[A-Za-z$]+|\\mu\s*[a-z]|[\u4e00-\u9fff]+)|(?P<times>[*·.\-]|\\cdot|\\times)|(?P<blank>\s+|a(?=\s))|(?P<paren>[()])"
)


def is_unit(word: str) -> bool:
    """Tell whether a word names a unit by itself."""
    return (
        word in _NAMES or word in _SHORTHAND or word.lower() in _SHORTHAND or (len(word) > 3 and word.lower() in _NAMES)
    )


@lru_cache(maxsize=4096)
def unit_named(words: str) -> Unit | None:
    """Read the words of a unit: "km/h", "m s^{-1}", "square feet", "平方米"; None if they name none."""
    words = words.strip().rstrip(".")
    if not words or len(words) > 60:
        return None
    words = _SHORTHAND.get(words, _SHORTHAND.get(words.lower(), words))
    place, below, squared, pending = 0, False, 0, 0
    found: list[tuple[str, int]] = []
    while place < len(words):
        piece = _PIECES.match(words, place)
        if piece is None:
            return None
        place = piece.end()
        match piece.lastgroup:
            case "per":
                if below:
                    return None
                below = True
            case "square":
                pending = _SQUARED[piece.group().rstrip(".")]
            case "word":
                name = _name_of(piece.group())
                if name is None:
                    return None
                found.append((name, (-1 if below else 1) * (pending or 1)))
                pending = 0
            case "power" if found:
                squared = int(piece[3]) if piece[3] else _SQUARED[piece.group()]
                name, sign = found[-1]
                found[-1] = (name, sign * squared)
            case "power":
                return None
    return _combined(found) if found and not pending else None


def _name_of(word: str) -> str | None:
    if word in _NAMES:
        return _NAMES[word]
    return _NAMES.get(word.lower()) if len(word) > 3 else None


def _combined(found: list[tuple[str, int]]) -> Unit | None:
    factor, powers = fmpq(1), dict[str, int]()
    for name, power in found:
        dimension, scale, _ = _TABLE[name]
        factor *= fmpq(scale) ** power
        for basic, times in _DERIVED.get(dimension, ((dimension, 1),)):
            powers[basic] = powers.get(basic, 0) + times * power
    dimensions = tuple(sorted((name, power) for name, power in powers.items() if power))
    offset = _OFFSETS.get(found[0][0], fmpq(0)) if len(found) == 1 and found[0][1] == 1 else fmpq(0)
    return Unit(dimensions, factor, offset)
