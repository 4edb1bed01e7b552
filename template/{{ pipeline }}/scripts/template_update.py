"""Update the project from its template on a new branch. CI runs this script and opens the pull request.

If there is an update, the script makes one commit on a branch `template/<release>`. Its message lists the changes, the
conflicts, the result of `poe check` and the release notes. Otherwise the script changes nothing.

`--without-checks` installs no dependency: their code could change the commit. CI checks the branch in another job.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).resolve().parent.parent
COPIER = {
    "uv": ["uvx", "--from", "copier>=9.19.1,<10", "copier"],
    "poetry": ["pipx", "run", "--spec", "copier>=9.19.1,<10", "copier"],
}
HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/", "git+": ""}
# With other settings, Copier loses edits silently or leaves conflicts in files that git hides.
SETTINGS = {"apply.whitespace": "nowarn", "core.excludesFile": os.devnull, "status.showUntrackedFiles": "all"}
COMMANDS = (["lock"], ["sync"], ["run", "poe", "check"])
VERSION = re.compile(r"\d+\.\d+\.\d+")
LIMIT = 20_000  # characters of output or notes; a pull request can have 65,536


def main() -> None:
    """Update, check and commit, or undo everything."""
    os.chdir(PROJECT)
    os.environ.update(configured(int(os.environ.get("GIT_CONFIG_COUNT", "0"))))
    before, manager = answer("_commit"), answer("package_manager")
    refuse(manager)
    committed = False
    try:
        committed = update(before, manager, checks="--without-checks" not in sys.argv)
    finally:
        if not committed:
            git("restore", "--source=HEAD", "--staged", "--worktree", ".")
            git("clean", "--quiet", "-d", "--force")


def configured(count: int) -> dict[str, str]:
    """Return environment variables with the settings for git, after those that exist."""
    found = {"GIT_CONFIG_COUNT": str(count + len(SETTINGS))}
    for index, (key, value) in enumerate(SETTINGS.items(), count):
        found |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return found


def refuse(manager: str) -> None:
    """Exit with a sentence if an update is not possible or could not be undone."""
    if manager not in COPIER:
        sys.exit(f"Unknown package_manager {manager} in {answers()}: restore {' or '.join(COPIER)}.")
    for program in ("git", manager, COPIER[manager][0]):
        if not which(program):
            sys.exit(f"Missing program {program}: install it or add it to the PATH.")
    if run("git", "rev-parse", "--quiet", "--verify", "MERGE_HEAD", fails=True):
        sys.exit("Unfinished merge: finish or abort it before the update.")
    if changed := git("status", "--porcelain"):
        sys.exit(f"Uncommitted changes: commit or stash them before the update.\n{changed}")


def update(before: str, manager: str, *, checks: bool) -> bool:
    """Return whether there is a commit on a new branch."""
    run(*COPIER[manager], "update", "--defaults", "--quiet", f"--answers-file={answers()}")
    after = answer("_commit")
    git("add", "--all")
    changes = git("diff", "--cached", "--stat=100")
    if not changes:
        print(f"Nothing to do: the project has {after}, the newest release of its template.")
        return False
    branch = f"template/{after}"
    if git("for-each-ref", f"refs/heads/{branch}", f"refs/remotes/*/{branch}"):
        print(f"Nothing to do: the branch {branch} exists and may contain your commits.")
        return False
    conflicts = conflicting()
    passes, output = check(manager, *COMMANDS) if checks else check(manager, COMMANDS[0])
    title = "`poe check`" if checks else "" if passes else f"`{manager} lock`"
    git("add", "--update")
    if made := git("ls-files", "--others", "--exclude-standard", f"{manager}.lock"):
        git("add", made)
    report = [
        f"Update from the template: {before} to {after}",
        *section("Conflicts", bullets(conflicts, "Resolve them on this branch: the files contain conflict markers.")),
        *section(title, title and ("It passes." if passes else f"It fails:\n\n{fenced(output)}")),
        *section("Release notes", notes(answer("_src_path"), before, after)),
        *section("What changed", fenced(changes)),
    ]
    git("switch", "--quiet", "--create", branch)
    try:
        git("commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-", text="\n".join(report) + "\n")
    except BaseException:  # also if git has no author or no signing key
        git("checkout", "--quiet", "-")
        git("branch", "--quiet", "--delete", branch)
        raise
    print("\n".join(report))
    return True


def answers() -> Path:
    """Return the file with the answers. A project of several templates has one file for each of them."""
    for path in sorted(Path().glob(".copier-answers*.yml")):
        if "\npackage_manager:" in path.read_text("utf-8"):
            return path
    return Path(".copier-answers.yml")


def answer(name: str) -> str:
    """Return an answer of the answers file. Exit unless it is one plain word."""
    file = answers()
    if not file.exists():
        sys.exit(f"Missing {file} in {PROJECT}: it contains the release of the project.")
    found = re.search(rf"^{name}: *['\"]?(.+?)['\"]?$", file.read_text("utf-8"), re.MULTILINE)
    if not found:
        sys.exit(f"Missing {name} in {file}: restore its line.")
    return found[1]


def conflicting() -> list[str]:
    """Return the files with conflict markers of the update."""
    lines = run("git", "diff", "--cached", "--check", fails=True).splitlines()
    return sorted({line.partition(":")[0] for line in lines if line.endswith(": leftover conflict marker")})


def check(manager: str, *commands: list[str]) -> tuple[bool, str]:
    """Run the commands until one fails. Return whether all passed, and the output. A lock builds no package."""
    printed = ""
    for command in commands:
        environment = os.environ | ({"UV_NO_BUILD": "1"} if command == ["lock"] else {})
        done = subprocess.run(
            [manager, *command], env=environment, stdout=-1, stderr=-2, text=True, encoding="utf-8", check=False
        )
        printed += done.stdout
        if done.returncode:
            return False, printed
    return True, printed


def notes(source: str, before: str, after: str) -> str:
    """Return the template's changelog of the releases after `before`, up to `after`."""
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
    """Return the version in a tag or heading, for comparisons; empty for `## Unreleased`."""
    found = VERSION.search(text)
    return tuple(map(int, found[0].split("."))) if found else ()


def section(title: str, text: str) -> list[str]:
    """Return a section of the report; empty without text."""
    return ["", f"## {title}", "", text] if text else []


def bullets(items: list[str], remark: str) -> str:
    """Return a list and the next step."""
    return "\n".join([*(f"- `{item}`" for item in items), "", remark]) if items else ""


def fenced(text: str) -> str:
    """Return the end of the output of a program, as a code block."""
    return f"~~~text\n{text.rstrip()[-LIMIT:]}\n~~~"


def git(*arguments: str, text: str | None = None) -> str:
    """Run git and return its output; exit if it fails."""
    return run("git", *arguments, text=text)


def run(*command: str, text: str | None = None, fails: bool = False) -> str:
    """Run a command and return its standard output. Exit if the command fails, unless the caller allows a failure."""
    done = subprocess.run(command, input=text, stdout=-1, text=True, encoding="utf-8", check=False)
    if done.returncode and not fails:
        sys.exit(f"`{' '.join(command[:4])} …` failed: see its output above.")
    return done.stdout.rstrip()


if __name__ == "__main__":
    main()
