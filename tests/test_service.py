"""Installed renders: all that their own `poe check` checks, and their git hooks."""

import re
from collections.abc import Callable

import pytest
from conftest import Project

pytestmark = pytest.mark.deep

HOSTILE = {
    "project_name": 'it\'s "{{ 7*7 }}" \\ `$(id)` # {% raw %} ]]> 👩‍👩‍👧',
    "project_description": "-dash: & <b>*שירות*</b> ''' \"\"\" \\N{BELL} %s %(x)s ${x}",
    "author_name": 'O\'Neil \\ "Zoë" & {sons} # 服务',
    "author_email": "o'neil+zoe@example.com",
}


def test_its_own_check_passes(service: Project) -> None:
    service.run_inside("poe", "check")


def test_its_git_hooks_have_nothing_to_change(service: Project) -> None:
    service.run_inside("prek", "run", "--all-files")


def test_its_git_hooks_refuse_a_conflict_that_was_left(service: Project) -> None:
    readme = service.path / "README.md"
    whole = readme.read_text()
    readme.write_text(f"{whole}<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\n")
    try:
        output = service.run_inside("prek", "run", "--all-files", fails=True)
        assert re.search(r"^no conflict markers\.+Failed$", output, re.MULTILINE)
    finally:
        readme.write_text(whole)


@pytest.mark.parametrize("package_manager", ["uv", "poetry"])
def test_hostile_answers_break_nothing(installed: Callable[..., Project], package_manager: str) -> None:
    installed(**HOSTILE, package_manager=package_manager).run_inside("poe", "check")
