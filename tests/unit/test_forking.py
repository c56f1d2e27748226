"""Workers out of the fork server: who asks gets one, or knows that it has to be one itself; and kernels that need no compiling."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import ray_worker, warm
from deploy.fork_server import FIRST_JOB, JOB, RAYLET, Asked, Request, receive


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """Short enough for a socket, whatever pytest makes of the test's name."""
    folder = os.open(tmp_path, os.O_RDONLY)
    yield f"/proc/self/fd/{folder}/s"
    os.close(folder)


def answering(path: str, taken: bool) -> tuple[socket.socket, threading.Thread, list[Asked | str]]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    found: list[Asked | str] = []

    def answer() -> None:
        with listener:
            link, _ = listener.accept()
        with link:
            try:
                found.append(receive(link))
            except ValueError as error:
                found.append(str(error))
            if taken:
                link.sendall(b"1")

    thread = threading.Thread(target=answer)
    thread.start()
    return listener, thread, found


@pytest.mark.parametrize("taken", [True, False])
def test_a_request_arrives_as_it_was_and_its_answer_is_known(
    path: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(JOB, FIRST_JOB)
    monkeypatch.setenv(RAYLET, "17")
    monkeypatch.setenv("ODD", "a=b\n=")
    _, thread, found = answering(path, taken)
    assert ray_worker.asked(path, ray_worker.request(["--one=1", "", "zwei ä"])) is taken
    thread.join()
    (asked,) = found
    assert isinstance(asked, Asked)
    assert asked.request == Request(os.getcwdb(), os.nice(0), ["--one=1", "", "zwei ä"], dict(os.environb))
    assert len(asked.files) == 3
    for file in asked.files:
        os.close(file)


def test_a_worker_of_another_driver_is_not_made(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB, "02000000")
    monkeypatch.setenv(RAYLET, "17")
    _, thread, found = answering(path, taken=False)
    assert not ray_worker.asked(path, ray_worker.request([]))
    thread.join()
    assert found == ["a worker of another driver, or of no raylet"]


def test_without_a_server_one_knows_at_once(path: str) -> None:
    assert not ray_worker.asked(path, b"")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    assert not ray_worker.asked(path, b"")


@pytest.mark.parametrize(("before", "status"), [("", 0), ("WorkerID.from_random(); ", 1)])
def test_no_two_children_draw_the_same_ids(before: str, status: int) -> None:
    """Ray's generator goes on in every child where the parent has used it: rather no children then."""
    code = f"from ray._raylet import WorkerID; {before}from deploy.fork_server import _must_differ; _must_differ()"
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == status


def test_what_is_compiled_is_known_without_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "PARTS", {"packed": warm.PARTS["packed"]})
    assert warm.missing(tmp_path) == ["packed"]
    warm.compile_part("packed", tmp_path)
    assert warm.missing(tmp_path) == []
    monkeypatch.setattr(warm, "_processor", lambda: "another one")
    assert warm.missing(tmp_path) == ["packed"]
    monkeypatch.undo()
    monkeypatch.setattr(warm, "PARTS", {"packed": warm.PARTS["packed"]})
    note = tmp_path / "compiled-packed.json"
    note.write_bytes(note.read_bytes().replace(b".nbi", b".gone"))
    assert warm.missing(tmp_path) == ["packed"]
