"""The command line's own words."""

import pytest

from deploy.cli_common import fail


def test_an_error_text_with_brackets_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """It was taken for markup: `[/usr/.../haproxy.main()]` broke the message about a failed start."""
    assert fail("it ended [/usr/sbin/haproxy.main()] with [1]").exit_code == 1
    assert "[/usr/sbin/haproxy.main()] with [1]" in capsys.readouterr().err.replace("\n", " ")
