"""What a release promises to the services rendered from it, and the command that prepares one.

`uv run python tests/release.py 1.2.0` writes the version and the promises down; CONTRIBUTING.md says what comes then.
"""

import datetime as dt
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from conftest import Project, working_tree
from jinja2 import Environment, StrictUndefined
from jinja2.meta import find_undeclared_variables
from packaging.version import Version
from pathspec import GitIgnoreSpec
from questionnaire import CONFIGURATION, REPOSITORY

RECORD = REPOSITORY / "tests/released.yaml"
HEADER = "# What was ever released. Written by tests/release.py; nothing is ever taken out of it by hand.\n"
BESIDE = "/tmp/copier._main.new_copy.x"  # noqa: S108  # where an update renders beside the project

JINJA = Environment(
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  # no web page
    extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
)
compiled = cache(JINJA.from_string)


def choices(question: Mapping[str, Any]) -> list[str]:
    """The values that may be stored, without the texts that are shown."""
    offered = question.get("choices", [])
    return list(offered.values() if isinstance(offered, dict) else offered)


def excluded(configuration: Mapping[str, Any], features: Iterable[str] = (), folder: str = BESIDE) -> list[str]:
    """The patterns of paths that an update does not render, into the project or beside it."""
    context = {
        "_copier_operation": "update",
        "_copier_conf": {"dst_path": folder},
        "_external_data": {"stored": {"features": list(features)}},
    }
    return "\n".join(compiled(entry).render(context) for entry in configuration["_exclude"]).split()


def matching(patterns: Iterable[str], paths: Iterable[str]) -> set[str]:
    return set(GitIgnoreSpec.from_lines(patterns).match_files(paths))


@dataclass(frozen=True)
class Promises:
    """Each part only ever grows."""

    questions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Type, choices and default by name."""
    paths: dict[str, list[str]] = field(default_factory=dict)
    """What is rendered, by the layers that it stands in, written as the expressions that switch them on."""
    yours: list[str] = field(default_factory=list)
    """The patterns of paths that no update renders."""
    brought: list[str] = field(default_factory=list)
    """The patterns of paths that an update renders once, when it switches their feature on."""
    copier: str = ""
    """The oldest Copier that renders it."""

    @classmethod
    def of(cls, configuration: Mapping[str, Any], files: Iterable[Path]) -> "Promises":
        """What is promised by a questionnaire and the files below `template/`."""
        asked = {
            name: question
            for name, question in configuration.items()
            if not name.startswith("_") and question.get("when") is not False
        }
        paths: dict[str, list[str]] = {}
        for file in files:
            layers = [part[3:-3] for part in file.parent.parts if part.startswith("{{")]
            place = [part for part in file.parts if part == file.name or not part.startswith("{{")]
            if place[-1].startswith("{{"):
                continue  # the file of answers, which Copier names
            condition = "/".join(configuration[layer]["default"] for layer in layers)
            paths.setdefault(condition, []).append("/".join(place).removesuffix(".jinja"))
        return cls(
            {
                name: {
                    "type": question["type"],
                    "multiselect": question.get("multiselect", False),
                    "choices": choices(question),
                    "default": question.get("default"),
                }
                for name, question in asked.items()
            },
            {condition: sorted(found) for condition, found in sorted(paths.items())},
            sorted(excluded(configuration)),
            sorted(configuration["_skip_if_exists"]),
            configuration["_min_copier_version"],
        )

    @classmethod
    def now(cls) -> "Promises":
        return cls.of(CONFIGURATION, [path.relative_to("template") for path in working_tree("template")])

    @classmethod
    def released(cls) -> "Promises":
        return cls(**yaml.safe_load(RECORD.read_text()))

    @classmethod
    def of_tag(cls, repository: Project, tag: str) -> "Promises":
        files = repository.run("git", "ls-tree", "-r", "--name-only", "-z", tag, "template").split("\0")
        configuration = yaml.safe_load(repository.run("git", "show", f"{tag}:copier.yml"))
        return cls.of(configuration, [Path(file).relative_to("template") for file in files if file])

    def __or__(self, other: "Promises") -> "Promises":
        return Promises(
            self.questions | other.questions,
            {
                condition: sorted({*self.paths.get(condition, []), *other.paths.get(condition, [])})
                for condition in sorted(self.paths | other.paths)
            },
            sorted({*self.yours, *other.yours}),
            sorted({*self.brought, *other.brought}),
            other.copier,
        )

    def every_path(self) -> set[str]:
        return set().union(*self.paths.values())

    def rendered(self, chosen: Mapping[str, object]) -> frozenset[str]:
        """The paths that these answers give."""
        return frozenset().union(*(self.paths[layers] for layers in self.paths if _all_on(layers, chosen)))

    def deciding(self) -> set[str]:
        """The questions whose answers decide which paths there are."""
        return set().union(*(find_undeclared_variables(JINJA.parse(layers)) for layers in self.paths))

    def every_choice(self, names: Iterable[str]) -> Iterator[dict[str, object]]:
        """Each combination of answers to these questions."""
        options: dict[str, list[object]] = {}
        for name in names:
            values = self.questions[name]["choices"]
            if self.questions[name]["multiselect"]:
                picks = product((False, True), repeat=len(values))
                options[name] = [[value for value, on in zip(values, pick, strict=True) if on] for pick in picks]
            else:
                options[name] = list(values)
        for choice in product(*options.values()):
            yield dict(zip(options, choice, strict=True))

    def default(self, name: str, chosen: Mapping[str, object]) -> object:
        """What an update answers for who never saw the question."""
        default = self.questions[name]["default"]
        return compiled(default).render(chosen) if isinstance(default, str) else default

    def grown_by(self, now: "Promises") -> list[str]:
        """What is new: questions, choices and paths."""
        offered = {
            f"{name}={choice}"
            for name, question in now.questions.items()
            for choice in question["choices"]
            if name in self.questions and choice not in self.questions[name]["choices"]
        }
        return sorted(now.questions.keys() - self.questions.keys() | offered | (now.every_path() - self.every_path()))

    def broken_by(self, now: "Promises") -> list[str]:
        """A sentence for each promise that is not kept."""
        return [*self._broken_questions(now)] or [*self._broken_paths(now)]

    def _broken_questions(self, now: "Promises") -> Iterator[str]:
        for name, question in self.questions.items():
            asked = now.questions.get(name)
            if asked is None:
                if not any(name in _names(other["default"]) for other in now.questions.values()):
                    yield f"Ask {name} again, or let the default of what replaces it read it: services have stored it."
            elif (asked["type"], asked["multiselect"]) != (question["type"], question["multiselect"]):
                yield f"Give {name} its type back, and add a question instead."
            elif gone := [choice for choice in question["choices"] if choice not in asked["choices"]]:
                yield f"Offer {', '.join(gone)} as {name} again: who chose it would silently get the default."

    def _broken_paths(self, now: "Promises") -> Iterator[str]:
        lost: set[str] = set()
        known = {name for name in self.deciding() | now.deciding() if name in self.questions}
        for chosen in self.every_choice(sorted(known)):
            new = {name: now.default(name, chosen) for name in sorted(now.deciding() - known)}
            lost |= self.rendered(chosen) - now.rendered(chosen | new)
        for path in sorted(lost - matching(now.yours, lost)):
            yield f"Put /{path} into _exclude of copier.yml: an update would delete it."
        given = matching([*self.yours, *self.brought], self.every_path())
        for path in sorted(given - matching([*now.yours, *now.brought], given)):
            yield f"Leave /{path} to its owner: an update would overwrite it."


def _names(default: object) -> set[str]:
    return find_undeclared_variables(JINJA.parse(default)) if isinstance(default, str) else set()


def _all_on(layers: str, chosen: Mapping[str, object]) -> bool:
    return all(compiled(layers).render(chosen).split("/")) if layers else True


def changelog() -> list[str]:
    """The headings of CHANGELOG.md, newest first."""
    return re.findall(r"^## (.+)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)


def replace(path: Path, pattern: str, text: str) -> None:
    before = path.read_text()
    after, times = re.subn(pattern, text, before, count=1, flags=re.MULTILINE)
    if not times:
        sys.exit(f"{path.name} has no line like {pattern}.")
    path.write_text(after)


def prepare(version: str) -> None:
    """Write a release down. Ends with a sentence when it cannot be one."""
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        sys.exit(f"Type a version like 1.2.0, not {version}.")
    headings = changelog()
    if headings[:1] != ["Unreleased"]:
        sys.exit("Write what changes into CHANGELOG.md first, below a heading `## Unreleased`.")
    if headings[1:] and Version(version) <= Version(headings[1].split()[0]):
        sys.exit(f"Type a version above {headings[1].split()[0]}.")
    released, now = Promises.released(), Promises.now()
    if broken := released.broken_by(now):
        sys.exit("\n".join(broken))
    if released.questions:
        _check_version(Version(version), Version(headings[1].split()[0]), released, now)
    today = dt.datetime.now(tz=dt.UTC).date()
    replace(REPOSITORY / "CHANGELOG.md", r"^## Unreleased$", f"## {version} ({today})")
    replace(REPOSITORY / "pyproject.toml", r'^version = ".*"$', f'version = "{version}"')
    RECORD.write_text(HEADER + yaml.safe_dump(asdict(released | now), sort_keys=False, allow_unicode=True, width=200))


def _check_version(version: Version, before: Version, released: Promises, now: Promises) -> None:
    """End with a sentence when the version says that less has changed than has: docs/updating.md has the table."""
    if released.copier != now.copier and version.major == before.major:
        sys.exit(f"Type {before.major + 1}.0.0: it needs Copier {now.copier}, and services have {released.copier}.")
    if (grown := released.grown_by(now)) and version.release[:2] == before.release[:2]:
        sys.exit(f"Type {before.major}.{before.minor + 1}.0: a patch does not bring {grown[0]}.")


if __name__ == "__main__":
    prepare(*sys.argv[1:])
