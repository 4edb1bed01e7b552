"""The questions of copier.yml, and the answers that the tests render.

All of it is read from copier.yml, so that new questions and choices are covered automatically.
"""

import re
from collections.abc import Mapping
from itertools import product
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import yaml
from covertable import make  # type: ignore[import-untyped]

REPOSITORY = Path(__file__).parent.parent
CONFIGURATION = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
QUESTIONS: dict[str, dict[str, Any]] = {
    name: question for name, question in CONFIGURATION.items() if not name.startswith("_")
}
TEXTS = [name for name, question in QUESTIONS.items() if "when" not in question and "choices" not in question]

# A valid answer to each free text that breaks a file without escaping.
HOSTILE = {
    "project_name": 'it\'s "{{ 7*7 }}" \\ `$(id)` # [e](f) ]]> 👩‍👩‍👧',
    "project_slug": "a-name-of-as-many-characters-as-it-may-0",
    "project_description": "-dash: & <b>*שירות*</b> ''' \"\"\" \\N{BELL} %s %(x)s ${x}",
    "author_name": 'O\'Neil \\ "Zoë" & {sons} # 服务',
    "author_email": "o'neil+zoe@example.com",
}

type Answers = Mapping[str, str]
type Levels = dict[str, str]  # the level of each factor: a choice, on or off, default or hostile


def choices(question: str) -> list[str]:
    offered = QUESTIONS[question].get("choices", [])
    return list(offered.values() if isinstance(offered, dict) else offered)


def factors() -> dict[str, list[str]]:
    """Return each choice with its levels, the default first. A multiple choice has one factor for each option."""
    found: dict[str, list[str]] = {}
    for name, question in QUESTIONS.items():
        if question.get("multiselect"):
            for option in choices(name):
                found[f"{name}.{option}"] = ["on", "off"] if option in question["default"] else ["off", "on"]
        elif "choices" in question:
            found[name] = sorted(choices(name), key=lambda choice: choice != question["default"])
        elif name in TEXTS:
            found[name] = ["default", "hostile"]
    return found


def typed(options: list[str]) -> str:
    """Return options in the syntax of `--data`."""
    return f"[{', '.join(options)}]"


def without_defaults(answers: Answers) -> Answers:
    """Return the answers that differ from the defaults, so that equal renders are made once."""
    defaults = {name: question["default"] for name, question in QUESTIONS.items() if "choices" in question}
    shown = {name: typed(default) if isinstance(default, list) else default for name, default in defaults.items()}
    return dict(answers.items() - shown.items())


def answers(levels: Levels) -> Answers:
    """Return the answers that produce these levels."""
    given: dict[str, str] = {}
    for name, question in QUESTIONS.items():
        if question.get("multiselect"):
            given[name] = typed([option for option in choices(name) if levels[f"{name}.{option}"] == "on"])
        elif "choices" in question:
            given[name] = levels[name]
        elif levels.get(name) == "hostile":
            given[name] = HOSTILE[name]
    return without_defaults(given)


def label(levels: Levels) -> str:
    """Return the chosen levels as a name."""
    words = {"on": "{}", "off": "", "default": "", "hostile": "hostile-{}"}
    named = [words.get(level, level).format(re.split(r"[._]", factor)[-1]) for factor, level in levels.items()]
    return "-".join(filter(None, named))


def pairs(factors: dict[str, list[str]], *promised: Levels) -> list[Levels]:
    """Return a covering array: each pair of levels of any two factors is in a row, and each promised row is included.

    The first row has the first level of each factor. The function makes 50 arrays and returns the smallest.
    """
    first = {factor: levels[0] for factor, levels in factors.items()}
    more = [some for some in promised if not some.items() <= first.items()]
    fewest = prod(sorted(map(len, factors.values()))[-2:])
    smallest: list[Levels] = []
    for salt in range(50):
        chance = Random(salt)  # noqa: S311 # the same at each run
        presets = [{factor: chance.choice(levels) for factor, levels in factors.items()} | some for some in more]
        rows = make(factors, presets=[first, *presets], salt=str(salt))
        if not smallest or len(rows) < len(smallest):
            smallest = rows
        if len(smallest) == fewest:
            break
    return [{factor: row[factor] for factor in factors} for row in smallest]


def holds_python(option: str) -> bool:
    return any(f"{{{{ {option} }}}}" in path.parts for path in (REPOSITORY / "template").rglob("*.py"))


FACTORS = factors()
DEFAULTS = {factor: levels[0] for factor, levels in FACTORS.items()}

# Answers of tests that only read the render: each pair of answers, and each single change of the defaults.
ROWS = pairs(FACTORS)
FLIPS = [DEFAULTS | {factor: level} for factor in FACTORS if factor not in TEXTS for level in FACTORS[factor][1:]]
RENDERS = {label(levels): levels for levels in [*ROWS, *FLIPS]}
# The subset for the quick tests.
QUICK = {label(DEFAULTS | {name: level}) for name in ("framework", "package_manager") for level in FACTORS[name]}

# Installed and run: each pair of choices that change code or dependencies, and PROMISED. Other choices take turns,
# except the Python version, which may not be installed.
RUN = {
    "framework": FACTORS["framework"],
    "package_manager": FACTORS["package_manager"],
    **{factor: levels for factor, levels in FACTORS.items() if holds_python(factor.partition(".")[2])},
}
TURNS = [factor for factor in FACTORS if factor not in {*RUN, *TEXTS, "python_version"}]
PROMISED = [
    {"framework": "fastapi", "package_manager": manager, "features.example": example}
    for manager, example in product(("uv", "poetry"), ("on", "off"))
]
PROFILES: dict[str, Answers] = {
    label(row): answers(
        DEFAULTS
        | {factor: FACTORS[factor][turn % len(FACTORS[factor])] for factor in TURNS}
        | dict.fromkeys(TEXTS, row["texts"])
        | row
    )
    for turn, row in enumerate(pairs(RUN | {"texts": ["default", "hostile"]}, *PROMISED))
}


def profile(**chosen: str) -> str:
    """Return the name of the first profile with these answers."""
    defaults = {name: QUESTIONS[name]["default"] for name in chosen}
    return next(name for name, given in PROFILES.items() if chosen.items() <= {**defaults, **given}.items())


BARE: Answers = {"features": typed([])}


def engines() -> dict[str, Answers]:
    """Return one profile of each framework, with as few other choices as possible."""

    def choosing(profile: tuple[str, Answers]) -> tuple[bool, int]:
        _, given = profile
        return "package_manager" in given, len(given.keys() - {*TEXTS})

    by_framework: dict[str, list[str]] = {}
    for name, given in sorted(PROFILES.items(), key=choosing):
        by_framework.setdefault(given.get("framework", "default"), []).append(name)
    return {names[0]: PROFILES[names[0]] for names in by_framework.values()}
