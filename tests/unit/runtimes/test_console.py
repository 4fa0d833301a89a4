"""What a console remembers, and when it tells."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtimes.console import ANSWER_BYTES, Console, ConsoleEnded, ConsoleFlood


async def test_a_watch_gives_the_instant_of_the_chunk_that_completed_the_text() -> None:
    console = Console()
    seen = console.watch("READY")
    console.feed(b"hello\nREA", 10)
    assert not seen.done()
    console.feed(b"DY and more", 20)
    assert seen.result() == 20


async def test_a_text_counts_before_its_newline_and_only_within_a_line() -> None:
    console = Console()
    split = console.watch("ab")
    console.feed(b"a\nb", 1)
    assert not split.done()
    console.feed(b"\nxab", 2)
    assert split.result() == 2


async def test_a_watch_sees_only_what_comes_after_it() -> None:
    console = Console()
    console.feed(b"old pong", 1)
    seen = console.watch("pong")
    console.feed(b" tail", 2)
    assert not seen.done()
    console.feed(b" pong\n", 3)
    assert seen.result() == 3


async def test_a_watch_begun_within_a_line_sees_all_of_the_next_one() -> None:
    console = Console()
    console.feed(b"x" * 100, 1)
    seen = console.watch("pong")
    console.feed(b"\npong", 2)
    assert seen.result() == 2


async def test_an_empty_text_is_found_in_the_next_byte() -> None:
    console = Console()
    first = console.watch("")
    console.feed(b"x", 7)
    assert first.result() == 7


async def test_each_watch_is_told_once_and_a_cancelled_one_never() -> None:
    console = Console()
    one, two, given_up = console.watch("x"), console.watch("x"), console.watch("x")
    given_up.cancel()
    console.feed(b"x\nx\n", 5)
    console.feed(b"x\n", 6)
    assert (one.result(), two.result()) == (5, 5)
    assert given_up.cancelled()


async def test_an_end_raises_in_open_watches_and_in_later_ones() -> None:
    console = Console()
    before, done = console.watch("never"), console.watch("x")
    waiting = asyncio.ensure_future(console.wait_ended())
    console.feed(b"x", 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    console.end()
    console.end()
    await waiting
    await console.wait_ended()
    assert console.ended
    assert done.result() == 1
    for watch in (before, console.watch("later")):
        with pytest.raises(ConsoleEnded):
            await watch


async def test_the_tail_keeps_the_last_lines_and_the_ends_of_long_ones() -> None:
    console = Console(keep_lines=2, max_line_bytes=4)
    console.feed(b"one\r\ntwo\nthree\nfo", 1)
    assert console.tail() == "two\nhree\nfo"
    console.feed(b"ur-more", 2)
    assert console.tail() == "two\nhree\nmore"
    console.feed(b"\xff\n", 3)
    assert console.tail().endswith("�")


@given(
    st.lists(st.text(alphabet="ab\n", max_size=12).map(str.encode), max_size=12),
    st.integers(1, 5),
)
def test_chunks_make_no_difference(chunks: list[bytes], keep_lines: int) -> None:
    """However output is cut, the tail and what is found in it are the same."""

    async def check() -> None:
        pieces, whole = Console(keep_lines), Console(keep_lines)
        seen, expected = pieces.watch("aba"), whole.watch("aba")
        for chunk in chunks:
            pieces.feed(chunk, 1)
        whole.feed(b"".join(chunks), 1)
        assert pieces.tail() == whole.tail()
        assert seen.done() == expected.done()

    asyncio.run(check())


async def test_a_record_has_what_is_said_from_its_beginning_to_its_end() -> None:
    console = Console()
    console.feed(b"before\nhalf", 1)
    record = console.record("END")
    console.feed(b" a line\nEN", 2)
    assert not record.done()
    console.feed(b"D\nafter\n", 3)
    assert await record == " a line\nEND"


async def test_a_record_of_a_closed_console_ends() -> None:
    console = Console()
    record = console.record("END")
    console.end()
    for each in (record, console.record("END")):
        with pytest.raises(ConsoleEnded):
            await each


async def test_a_record_without_an_end_is_bounded() -> None:
    console = Console()
    record = console.record("END")
    console.feed(b"x" * (ANSWER_BYTES + 1), 1)
    with pytest.raises(ConsoleFlood):
        await record
