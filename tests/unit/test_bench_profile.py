"""The stage profile's arithmetic: samples to stages, stamps to spans; and the stamps themselves, in a process of their own."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bench.load import LOAD, Figures
from bench.profile import stamps
from bench.profile.loads import folded, processes_of
from bench.profile.sampling import Frame, Seen, parsed
from bench.profile.stages import LOOP, NATIVE, RULES, functions_of, stages_of
from bench.profile.stamps import Stamp
from bench.profile.waterfall import LAST, STEPS, Sent
from bench.profile.waterfall import folded as fallen

ROOT = Path(__file__).parents[2]
RAW = f"""
thread (12): service;_main ({ROOT}/actors/remote.py);run (asyncio/runners.py) 60
thread (12): service;_main ({ROOT}/actors/remote.py);match ({ROOT}/actors/book_actor.py);Book.apply ({ROOT}/market/book/engine.py) 30
thread (12): service;_main ({ROOT}/actors/remote.py);BookService._commit ({ROOT}/actors/book_actor.py);helper ({ROOT}/actors/unknown.py) 10
thread (13) 100
"""
BUSY = Seen(parsed(RAW), {12: 0.8, 13: 0.1, 14: 0.1}, 1.0)


def test_stacks_are_read_by_thread_with_paths_from_the_root() -> None:
    stacks = parsed(RAW)
    assert stacks[12].total() == 100
    innermost = {stack[-1] for stack in stacks[12]}
    assert Frame("market/book/engine.py", "Book.apply") in innermost
    assert stacks[13] == {(): 100}


def test_a_stage_gets_its_share_of_the_time_and_the_loop_what_is_left() -> None:
    told = {name: round(seconds, 3) for name, seconds in stages_of("book", BUSY).items()}
    assert told == {"match": 0.3, "commit": 0.1, LOOP: 0.4, NATIVE: 0.2}
    assert functions_of("book", BUSY) == pytest.approx(
        {"market/book/engine.py:Book.apply": 0.3, "actors/unknown.py:helper": 0.1}
    )


def test_a_stage_gets_no_more_than_the_thread_used_while_it_waited_for_a_core() -> None:
    told = stages_of("book", BUSY._replace(cpu_s={12: 0.2}))
    assert told == pytest.approx({"match": 0.15, "commit": 0.05, LOOP: 0.0})


def test_microseconds_of_a_command_by_process_and_stage() -> None:
    cpu_s = {"book 7 user": 0.8, "book 7 system": 0.2, "postgres 8 user": 0.3, "postgres 8 system": 0.1, LOAD: 0.5}
    figures = Figures(1.0, 1000, 1000, 0, 0, 0, {}, 1.0, 2.0, cpu_s)
    profile = folded("a load", figures, processes_of(figures, {8: "backend of book-0"}), {7: BUSY})
    told = {part.name: (part.us, part.system_us) for part in profile.parts}
    assert told == {"book": (1000.0, 200.0), "postgres": (pytest.approx(400.0), 100.0), "load": (500.0, 0.0)}
    assert {one.name: round(one.us) for one in profile.parts[0].stages} == {
        "match": 300, "commit": 100, LOOP: 400, NATIVE: 200,
    }  # fmt: skip
    assert [one.name for one in profile.parts[1].stages] == ["backend of book-0"]


def found_at(path: str) -> list[Path]:
    return [file for one in ROOT.glob(path + "*") for file in ([one] if one.is_file() else one.rglob("*.py"))]


def test_rules_name_what_there_is() -> None:
    for rule in (rule for rules in RULES.values() for rule in rules):
        if rule.path.split("/")[0] in ("serve", "actors", "market"):
            text = "".join(file.read_text() for file in found_at(rule.path))
            assert text, rule.path
            assert not rule.functions or any(f"def {name}(" in text for name in rule.functions), rule


def test_stamped_methods_are_there() -> None:
    for module, owner, method in (*stamps.BEFORE, *stamps.AFTER):
        assert callable(getattr(getattr(import_module(module), owner), method))


def test_the_spans_of_a_lone_order_add_up_to_its_whole_time() -> None:
    sent = [Sent(0, 1_000_000), Sent(2_000_000, 3_000_000)]
    stamped: dict[str, list[Stamp]] = {"gateway": [], "account": [], "book": []}
    for k, step in enumerate(STEPS, 1):
        stamped[step.part].append(Stamp(step.point, k * 50_000))
    told = fallen(sent, stamped)
    assert (told.orders, told.left_out) == (2, 1)
    assert [one.mean_us for one in told.segments] == [50.0] * len(STEPS) + [400.0]
    assert told.segments[-1].text == LAST


def test_stamps_of_a_forked_process_are_written_while_they_are_switched_on(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, actors.stream as s\n"
        "link = s.Link.__new__(s.Link); link._transport = None\n"
        "import os\n"
        "if child := os.fork(): print(child, flush=True); os.waitpid(child, 0); os._exit(0)\n"
        "for _ in sys.stdin: link.send(1, b''); print(flush=True)\n"
    )
    environment = {**os.environ, **stamps.environment(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def send() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        print(file=process.stdin, flush=True)
        process.stdout.readline()

    child = int(process.stdout.readline())
    send()
    with stamps.switched_on(tmp_path):
        send()
        send()
    send()
    process.communicate()
    assert [one.point for one in stamps.read(tmp_path, child)] == ["send", "send"]
    assert stamps.read(tmp_path, process.pid) == []
