"""Tests as Django's and pytest-django's users write them."""

import subprocess
import sys

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, TestCase

from app.core.accounts.models import User


class UserTest(TestCase):
    ada: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.ada = User.objects.create_user("ada@example.com")

    def test_data_of_the_class(self) -> None:
        self.client.force_login(self.ada)
        self.assertEqual(get_user_model().objects.get(), self.ada)

    def test_response_has_templates_and_context(self) -> None:
        page = self.client.get("/admin/login/")
        self.assertTemplateUsed(page, "admin/login.html")
        assert "form" in page.context


@pytest.mark.parametrize("number", [1, 2])
def test_db_is_rolled_back(db: None, number: int) -> None:
    assert not User.objects.exists()
    User.objects.create_user("ada@example.com")


def test_client_finds_rows_of_the_test(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root@example.com"))
    assert "root@example.com" in client.get("/admin/core_accounts/user/").content.decode()


@pytest.mark.django_db
def test_marker_of_pytest_django() -> None:
    User.objects.create_user("ada@example.com")


@pytest.mark.django_db
async def test_marker_of_an_async_test() -> None:
    await User.objects.acreate_user("ada@example.com")


@pytest.mark.django_db(transaction=True)
def test_marker_for_commits() -> None:
    User.objects.create_user("ada@example.com")


@pytest.mark.slow
def test_first_test_of_a_process_is_a_class() -> None:
    command = [sys.executable, "-m", "pytest", "-n0", "-k", UserTest.__name__, __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
