"""Bring the project up to date with its template, on a branch of its own; CI runs it and opens the request.

Where there is something to do, it leaves one commit on a branch `template/<release>`, whose message says what changed,
what conflicts, whether `poe check` passes and which release notes apply. Else it leaves everything as it was.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).resolve().parent.parent
ANSWERS = Path(".copier-answers.yml")
COPIER = {
    "uv": ["uvx", "--from", "copier>=9.15,<10", "copier"],
    "poetry": ["pipx", "run", "--spec", "copier>=9.15,<10", "copier"],
}
HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/", "git+": ""}
# By other settings of the machine, Copier drops edits without a word, or leaves conflicts in files that git hides.
SETTINGS = {"apply.whitespace": "nowarn", "core.excludesFile": os.devnull, "status.showUntrackedFiles": "all"}
VERSION = re.compile(r"\d+\.\d+\.\d+")
LIMIT = 20_000  # characters of output or notes: a request holds 65,536


def main() -> None:
    """Update, check and commit, or undo all of it."""
    os.chdir(PROJECT)
    os.environ.update(configured(int(os.environ.get("GIT_CONFIG_COUNT", "0"))))
    before, manager = answer("_commit"), answer("package_manager")
    refuse(manager)
    committed = False
    try:
        committed = update(before, manager)
    finally:
        if not committed:
            git("restore", "--source=HEAD", "--staged", "--worktree", ".")
            git("clean", "--quiet", "-d", "--force")


def configured(count: int) -> dict[str, str]:
    """The environment that gives git its settings, after those that it gives already."""
    found = {"GIT_CONFIG_COUNT": str(count + len(SETTINGS))}
    for index, (key, value) in enumerate(SETTINGS.items(), count):
        found |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return found


def refuse(manager: str) -> None:
    """End with a sentence where no update can be, or none that could be undone."""
    if manager not in COPIER:
        sys.exit(f"Put back what package_manager was in {ANSWERS}, {' or '.join(COPIER)}: {manager} is neither.")
    for program in ("git", manager, COPIER[manager][0]):
        if not which(program):
            sys.exit(f"Install {program}, or put it on the PATH: an update takes it.")
    if run("git", "rev-parse", "--quiet", "--verify", "MERGE_HEAD", fails=True):
        sys.exit("Finish the merge first, or abort it: an update is a commit of its own.")
    if changed := git("status", "--porcelain"):
        sys.exit(f"Commit what is changed first: an update needs a clean working tree.\n{changed}")


def update(before: str, manager: str) -> bool:
    """Whether there is a commit on a new branch."""
    run(*COPIER[manager], "update", "--defaults", "--quiet")
    after = answer("_commit")
    git("add", "--all")
    changes = git("diff", "--cached", "--stat=100")
    if not changes:
        print(f"Nothing to do: the project is rendered from {after}, the newest release of its template.")
        return False
    branch = f"template/{after}"
    if git("for-each-ref", f"refs/heads/{branch}", f"refs/remotes/*/{branch}"):
        print(f"Nothing to do: {branch} was proposed before, and may hold commits of yours.")
        return False
    conflicts = conflicting()
    passes, output = check(manager)
    git("add", "--update")
    if made := git("ls-files", "--others", "--exclude-standard", f"{manager}.lock"):
        git("add", made)
    report = [
        f"Update from the template: {before} to {after}",
        *section("Conflicts", bullets(conflicts, "Settle them on this branch: the markers are in the files.")),
        *section("`poe check`", "It passes." if passes else f"It fails:\n\n{fenced(output)}"),
        *section("Release notes", notes(answer("_src_path"), before, after)),
        *section("What changed", fenced(changes)),
    ]
    git("switch", "--quiet", "--create", branch)
    try:
        git("commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-", text="\n".join(report) + "\n")
    except BaseException:  # who commits is not known, or has no key to sign with
        git("checkout", "--quiet", "-")
        git("branch", "--quiet", "--delete", branch)
        raise
    print("\n".join(report))
    return True


def answer(name: str) -> str:
    """What the answers file says, of the answers that are plain words."""
    if not ANSWERS.exists():
        sys.exit(f"There is no {ANSWERS} in {PROJECT}: an update cannot know where the project stands.")
    found = re.search(rf"^{name}: *['\"]?(.+?)['\"]?$", ANSWERS.read_text("utf-8"), re.MULTILINE)
    if not found:
        sys.exit(f"{ANSWERS} names no {name}: an update cannot know where the project stands.")
    return found[1]


def conflicting() -> list[str]:
    """The files in which the update left conflict markers."""
    lines = run("git", "diff", "--cached", "--check", fails=True).splitlines()
    return sorted({line.partition(":")[0] for line in lines if line.endswith(": leftover conflict marker")})


def check(manager: str) -> tuple[bool, str]:
    """Whether everything passes with the lock brought up to date, and what was printed."""
    printed = ""
    for command in (["lock"], ["sync"], ["run", "poe", "check"]):
        done = subprocess.run([manager, *command], stdout=-1, stderr=-2, text=True, encoding="utf-8", check=False)
        printed += done.stdout
        if done.returncode:
            return False, printed
    return True, printed


def notes(source: str, before: str, after: str) -> str:
    """What the template's CHANGELOG says of the releases after `before`, up to `after`."""
    for short, long in HOSTS.items():
        if source.startswith(short):
            source = long + source.removeprefix(short)
    with TemporaryDirectory() as folder:
        cloned = subprocess.run(
            ["git", "clone", "--quiet", "--depth=1", f"--branch={after}", source, folder], check=False
        )
        changelog = Path(folder, "CHANGELOG.md")
        if cloned.returncode or not changelog.exists():
            return f"The CHANGELOG of {source} at {after} could not be read."
        sections = re.split(r"^(?=## )", changelog.read_text("utf-8"), flags=re.MULTILINE)
    applying = [text for text in sections if number(before) < number(text.partition("\n")[0]) <= number(after)]
    return re.sub(r"^## ", "### ", "".join(applying), flags=re.MULTILINE).strip()[:LIMIT] or "None."


def number(text: str) -> tuple[int, ...]:
    """The version that a tag or a heading names, to compare; nothing for `## Unreleased`."""
    found = VERSION.search(text)
    return tuple(map(int, found[0].split("."))) if found else ()


def section(title: str, text: str) -> list[str]:
    """A part of the report, or nothing without text."""
    return ["", f"## {title}", "", text] if text else []


def bullets(items: list[str], remark: str) -> str:
    """A list and what to do about it."""
    return "\n".join([*(f"- `{item}`" for item in items), "", remark]) if items else ""


def fenced(text: str) -> str:
    """The end of what a program printed, as it was."""
    return f"~~~text\n{text.rstrip()[-LIMIT:]}\n~~~"


def git(*arguments: str, text: str | None = None) -> str:
    """What git printed; its failure ends the script."""
    return run("git", *arguments, text=text)


def run(*command: str, text: str | None = None, fails: bool = False) -> str:
    """What a command printed to standard output; unless it may fail, its failure ends the script."""
    done = subprocess.run(command, input=text, stdout=-1, text=True, encoding="utf-8", check=False)
    if done.returncode and not fails:
        sys.exit(f"`{' '.join(command[:4])} …` failed: what it said stands above.")
    return done.stdout.rstrip()


if __name__ == "__main__":
    main()
