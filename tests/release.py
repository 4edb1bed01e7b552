"""Promises of a release to rendered services, and the command that prepares a release.

`uv run python tests/release.py 1.2.0` records the version and the promises; CONTRIBUTING.md has the next steps.
"""

import ast
import datetime as dt
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
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
SAMPLES = REPOSITORY / "hooks/samples.json"
HEADER = "# Everything that was ever released. tests/release.py writes this file; never remove an entry by hand.\n"
BESIDE = "/tmp/copier._main.new_copy.x"  # noqa: S108  # where an update renders beside the project

JINJA = Environment(
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  # no web page
    extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
)
compiled = cache(JINJA.from_string)


def choices(question: Mapping[str, Any]) -> list[str]:
    """Return the values that can be stored, without their labels."""
    offered = question.get("choices", [])
    return list(offered.values() if isinstance(offered, dict) else offered)


def excluded(configuration: Mapping[str, Any], features: Iterable[str] = (), folder: str = BESIDE) -> list[str]:
    """Return the patterns of paths that an update does not render, into the project or beside it."""
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
    """Promises of all releases. Entries are only added."""

    questions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Type, choices and default by name."""
    paths: dict[str, list[str]] = field(default_factory=dict)
    """Rendered paths by layer; a layer is named by the expressions that switch it on."""
    yours: list[str] = field(default_factory=list)
    """Patterns of paths that no update renders."""
    brought: list[str] = field(default_factory=list)
    """Patterns of paths that an update renders only when it switches their feature on."""
    copier: str = ""
    """The minimum version of Copier."""
    names: dict[str, list[str]] = field(default_factory=dict)
    """The public names of core by module path below `template/`. Only a major version can remove one."""

    @classmethod
    def of(
        cls, configuration: Mapping[str, Any], files: Iterable[Path], read: Callable[[Path], str] | None = None
    ) -> "Promises":
        """Return the promises of a copier.yml and the files below `template/`. `read` returns their text."""
        read = read or (lambda file: (REPOSITORY / "template" / file).read_text())
        files = list(files)
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
                continue  # the answers file: Copier sets its name
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
            {
                str(file): sorted(exported(read(file)))
                for file in sorted(files)
                if re.search(r"src/app/core/(\w+/)?__init__\.py$", str(file)) and exported(read(file))
            },
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
        paths = [Path(file).relative_to("template") for file in files if file]
        return cls.of(configuration, paths, lambda file: repository.run("git", "show", f"{tag}:template/{file}"))

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
            other.names,
        )

    def every_path(self) -> set[str]:
        return set().union(*self.paths.values())

    def rendered(self, chosen: Mapping[str, object]) -> frozenset[str]:
        """Return the paths that these answers render."""
        return frozenset().union(*(self.paths[layers] for layers in self.paths if _all_on(layers, chosen)))

    def deciding(self) -> set[str]:
        """Return the questions with answers that change the rendered paths."""
        return set().union(*(find_undeclared_variables(JINJA.parse(layers)) for layers in self.paths))

    def every_choice(self, names: Iterable[str]) -> Iterator[dict[str, object]]:
        """Yield each combination of answers to these questions."""
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
        """Return the default that an update uses if the project has no answer to the question."""
        default = self.questions[name]["default"]
        return compiled(default).render(chosen) if isinstance(default, str) else default

    def names_gone(self, now: "Promises") -> list[str]:
        """The public names that core no longer has."""
        return sorted(
            {name for module, names in self.names.items() for name in names if name not in now.names.get(module, [])}
        )

    def grown_by(self, now: "Promises") -> list[str]:
        """Yield new questions, choices and paths."""
        offered = {
            f"{name}={choice}"
            for name, question in now.questions.items()
            for choice in question["choices"]
            if name in self.questions and choice not in self.questions[name]["choices"]
        }
        return sorted(now.questions.keys() - self.questions.keys() | offered | (now.every_path() - self.every_path()))

    def broken_by(self, now: "Promises") -> list[str]:
        """Return a sentence for each broken promise."""
        return [*self._broken_questions(now)] or [*self._broken_paths(now)]

    def _broken_questions(self, now: "Promises") -> Iterator[str]:
        for name, question in self.questions.items():
            asked = now.questions.get(name)
            if asked is None:
                if not any(name in _names(other["default"]) for other in now.questions.values()):
                    yield f"Missing question {name}: restore it, or read it in the default of its replacement."
            elif (asked["type"], asked["multiselect"]) != (question["type"], question["multiselect"]):
                yield f"Changed type of {name}: restore it and add a new question."
            elif gone := [choice for choice in question["choices"] if choice not in asked["choices"]]:
                yield f"Missing choice {', '.join(gone)} of {name}: restore it, or services silently get the default."

    def _broken_paths(self, now: "Promises") -> Iterator[str]:
        lost: set[str] = set()
        known = {name for name in self.deciding() | now.deciding() if name in self.questions}
        for chosen in self.every_choice(sorted(known)):
            new = {name: now.default(name, chosen) for name in sorted(now.deciding() - known)}
            lost |= self.rendered(chosen) - now.rendered(chosen | new)
        for path in sorted(lost - matching(now.yours, lost)):
            yield f"Path /{path} is not rendered: add it to _exclude of copier.yml, or an update deletes it."
        given = matching([*self.yours, *self.brought], self.every_path())
        for path in sorted(given - matching([*now.yours, *now.brought], given)):
            yield f"Changed owner of /{path}: restore it, or an update overwrites the user's file."


def exported(source: str) -> list[str]:
    """Return the names in the `__all__` of a module."""
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                return [ast.literal_eval(name) for name in names]
    return []


def _names(default: object) -> set[str]:
    return find_undeclared_variables(JINJA.parse(default)) if isinstance(default, str) else set()


def _all_on(layers: str, chosen: Mapping[str, object]) -> bool:
    return all(compiled(layers).render(chosen).split("/")) if layers else True


def changelog() -> list[str]:
    """Return the headings of CHANGELOG.md, newest first."""
    return re.findall(r"^## (.+)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)


def replace(path: Path, pattern: str, text: str) -> None:
    before = path.read_text()
    after, times = re.subn(pattern, text, before, count=1, flags=re.MULTILINE)
    if not times:
        sys.exit(f"{path.name} has no line like {pattern}.")
    path.write_text(after)


def samples(configuration: Mapping[str, Any], files: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Return the slices that features render for the user: the feature, and a digest of files and tests."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(files):
        place = [part for part in file.parts if not part.startswith("{{")]
        for feature in choices(configuration["features"]):
            patterns = set(excluded(configuration, [feature], "/project")) - {*excluded(configuration)}
            if matching(patterns, ["/".join(place)]) and place[0] in {"src", "tests"}:
                name = place[2] if place[0] == "src" else place[1]
                before = found.get(name, {}).get("digest", "")
                content = (REPOSITORY / "template" / file).read_bytes()
                digest = sha256(f"{before} {file} ".encode() + content).hexdigest()[:16]
                found[name] = {"feature": feature, "digest": digest}
    return found


def record_samples(version: str) -> None:
    """Record the slices that this release changes, for the message after an update."""
    known = json.loads(SAMPLES.read_text())
    now = samples(CONFIGURATION, [path.relative_to("template") for path in working_tree("template")])
    for name, sample in now.items():
        same = known.get(name, {}).get("digest") == sample["digest"]
        sample["version"] = known[name]["version"] if same else version
    SAMPLES.write_text(json.dumps(now, indent=2) + "\n")


def prepare(version: str) -> None:
    """Record a release, or exit with a sentence."""
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        sys.exit(f"Invalid version {version}: use a version like 1.2.0.")
    headings = changelog()
    if headings[:1] != ["Unreleased"]:
        sys.exit("Missing changes in CHANGELOG.md: list them under `## Unreleased`.")
    if headings[1:] and Version(version) <= Version(headings[1].split()[0]):
        sys.exit(f"Version {version} is too low: the newest release is {headings[1].split()[0]}.")
    released, now = Promises.released(), Promises.now()
    if broken := released.broken_by(now):
        sys.exit("\n".join(broken))
    if released.questions:
        _check_version(Version(version), Version(headings[1].split()[0]), released, now)
    today = dt.datetime.now(tz=dt.UTC).date()
    replace(REPOSITORY / "CHANGELOG.md", r"^## Unreleased$", f"## {version} ({today})")
    replace(REPOSITORY / "pyproject.toml", r'^version = ".*"$', f'version = "{version}"')
    record_samples(version)
    RECORD.write_text(HEADER + yaml.safe_dump(asdict(released | now), sort_keys=False, allow_unicode=True, width=200))


def _check_version(version: Version, before: Version, released: Promises, now: Promises) -> None:
    """Exit with a sentence if the version is too low for the changes, by the table in docs/updating.md."""
    if released.copier != now.copier and version.major == before.major:
        sys.exit(f"Use {before.major + 1}.0.0: the minimum Copier changes from {released.copier} to {now.copier}.")
    if (gone := released.names_gone(now)) and version.major == before.major:
        sys.exit(f"Use {before.major + 1}.0.0: core no longer has {', '.join(gone)}.")
    if (grown := released.grown_by(now)) and version.release[:2] == before.release[:2]:
        sys.exit(f"Use {before.major}.{before.minor + 1}.0: a patch must not add {grown[0]}.")


if __name__ == "__main__":
    prepare(*sys.argv[1:])
