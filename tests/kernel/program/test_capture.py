import codecs
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet

from ...constants import SECONDS

PIPE = subprocess.PIPE
MEBI = 1 << 20

# Writes a line, and waits for one before it writes the next.
TALKER = """
import sys
for word in ("one", "two", "three"):
    sys.stdout.write(word + "\\n"); sys.stderr.write(word.upper() + "\\n")
    sys.stdout.flush(); sys.stderr.flush()
    sys.stdin.readline()
"""


def pattern(size: int) -> bytes:
    """Bytes of which no two neighbouring pages are alike."""
    return b"".join(b"%08x" % n for n in range(size // 8 + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3 * MEBI], ids=str)
@pytest.mark.parametrize("timeout", [None, SECONDS])
@pytest.mark.parametrize("capture", [{"stdout": PIPE}, {"capture_output": True}], ids=str)
def test_input_goes_through_and_comes_back(
    size: int, timeout: float | None, capture: dict[str, Any], nothing_left: object
) -> None:
    """What is sent to cat comes back, however much, with and without a timeout."""
    data = pattern(size)
    done = ramet.run(["cat"], input=data, timeout=timeout, **capture)
    assert type(done.stdout) is bytes
    assert done.stdout == data
    assert done.stderr == (b"" if "capture_output" in capture else None)


def test_both_outputs_are_read_at_once(nothing_left: object) -> None:
    """A child that fills one pipe and then the other gets rid of both, in whatever order."""
    script = f"head -c {MEBI} /dev/zero; head -c {MEBI} /dev/zero >&2; head -c {MEBI} /dev/zero"
    done = ramet.run(["sh", "-c", script], capture_output=True, timeout=SECONDS)
    assert (len(done.stdout), len(done.stderr)) == (2 * MEBI, MEBI)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array("I", data)])
@pytest.mark.parametrize("capture", [{}, {"stderr": PIPE}], ids=str)
def test_any_buffer_may_be_input(
    kind: Callable[[bytes], Any], capture: dict[str, Any], nothing_left: object
) -> None:
    """Whatever has a buffer is sent, all of it."""
    assert ramet.run(["cat"], input=kind(b"12345678"), stdout=PIPE, **capture).stdout == b"12345678"


def test_input_that_may_change_size_may_do_so_again(nothing_left: object) -> None:
    """A bytearray is let go of when it has been sent."""
    data = bytearray(pattern(MEBI))
    assert ramet.run(["cat"], input=data, stdout=PIPE).stdout == data
    data.clear()


def test_a_file_may_be_stdin(tmp_path: Path, nothing_left: object) -> None:
    """A file object as stdin is read by the child itself."""
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    with file.open("rb") as stdin:
        assert ramet.check_output(["cat"], stdin=stdin) == b"from a file"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "cp037"])
@pytest.mark.parametrize("size", [1, 2 * MEBI])
def test_text_goes_both_ways(encoding: str, size: int, nothing_left: object) -> None:
    """In text mode input is encoded, and output is decoded and has its newlines translated."""
    line = "äé\r\nö\rü\n"
    text = line * (size // len(line) + 1)
    done = ramet.run(["cat"], input=text, capture_output=True, encoding=encoding, timeout=SECONDS)
    assert done.stdout == text.replace("\r\n", "\n").replace("\r", "\n")
    assert done.stderr == ""


@pytest.mark.parametrize("timeout", [None, SECONDS])
def test_what_is_no_text_is_an_error_with_all_of_it(
    timeout: float | None, nothing_left: object
) -> None:
    """Bytes that cannot be decoded are told as by decode(), after the child was waited for."""
    script = f"head -c {2 * MEBI} /dev/zero; printf '\\377'"
    with ramet.Popen(["sh", "-c", script], stdout=PIPE, encoding="utf-8") as process:
        for _ in range(2):
            with pytest.raises(UnicodeDecodeError) as told:
                process.communicate(timeout=timeout)
            assert told.value.start == 2 * MEBI
            assert len(told.value.object) == 2 * MEBI + 1
        assert process.returncode == 0


def test_errors_may_be_replaced(nothing_left: object) -> None:
    """How to decode what is no text can be said."""
    argv = ["printf", r"a\377b"]
    assert ramet.check_output(argv, encoding="utf-8", errors="replace") == "a\ufffdb"
    assert ramet.check_output(argv, errors="surrogateescape") in {"a\udcffb", "aÿb"}


@pytest.mark.parametrize("data", [b"bytes", bytearray(b"bytes"), 5], ids=repr)
def test_text_mode_sends_text(data: Any, nothing_left: object) -> None:
    """Input that is no str is a TypeError in text mode, and so is a str in the other."""
    with pytest.raises(TypeError):
        ramet.run(["cat"], input=data, capture_output=True, text=True)
    with pytest.raises(TypeError):
        ramet.run(["cat"], input="text", capture_output=True)


@pytest.mark.parametrize("timeout", [None, SECONDS])
@pytest.mark.parametrize("capture", [{}, {"capture_output": True}], ids=str)
def test_a_child_that_does_not_read(
    timeout: float | None, capture: dict[str, Any], nothing_left: object
) -> None:
    """A child may end, or close its stdin, before it has read all: nobody minds."""
    data = bytes(MEBI)
    assert ramet.run(["true"], input=data, timeout=timeout, **capture).returncode == 0
    script = "exec <&-; echo done"
    done = ramet.run(["sh", "-c", script], input=data, stdout=PIPE, timeout=timeout)
    assert done.stdout == b"done\n"


def test_a_timeout_keeps_what_came_and_loses_nothing(nothing_left: object) -> None:
    """After TimeoutExpired, which has the output so far, communicate() goes on where it was."""
    with ramet.Popen(
        [sys.executable, "-c", TALKER], stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as process:
        assert process.stdin is not None
        stdin = os.dup(process.stdin.fileno())
        seen = []
        for expected in (b"one\n", b"one\ntwo\n", b"one\ntwo\nthree\n"):
            output, errors = None, None
            while output != expected:
                with pytest.raises(ramet.TimeoutExpired) as told:
                    process.communicate(timeout=0.02)
                output, errors = told.value.output, told.value.stderr
                assert told.value.timeout == 0.02
            seen.append((output, errors))
            # communicate() has closed the stream, since there was no input.
            os.write(stdin, b"\n")
        os.close(stdin)
        assert process.communicate() == (b"one\ntwo\nthree\n", b"ONE\nTWO\nTHREE\n")
        # It may be asked again.
        assert process.communicate(timeout=1) == (b"one\ntwo\nthree\n", b"ONE\nTWO\nTHREE\n")
        with pytest.raises(ValueError, match="after starting"):
            process.communicate(b"more")
    assert [output for output, _ in seen] == [b"one\n", b"one\ntwo\n", b"one\ntwo\nthree\n"]


def test_input_goes_on_after_a_timeout(nothing_left: object) -> None:
    """What had not been sent when the time was over is sent by the next communicate()."""
    data = pattern(3 * MEBI)
    reading, writing = os.pipe()
    script = f"head -c 1 /dev/fd/{reading} >/dev/null; cat"
    with ramet.Popen(["sh", "-c", script], stdin=PIPE, stdout=PIPE, pass_fds=[reading]) as process:
        with pytest.raises(ramet.TimeoutExpired) as told:
            process.communicate(data, timeout=0.05)
        assert told.value.output is None
        assert process.stdin is not None
        assert os.get_blocking(process.stdin.fileno())
        with pytest.raises(ValueError, match="after starting"):
            process.communicate(b"more")
        os.write(writing, b"\n")
        stdout, stderr = process.communicate(timeout=SECONDS)
        assert stdout == data
        assert stderr is None
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("text", [False, True])
def test_a_timeout_tells_bytes(text: bool, nothing_left: object) -> None:
    """What TimeoutExpired has is bytes, in text mode too, as subprocess has it; nothing is None."""
    script = "echo first; exec sleep 1000"
    with ramet.Popen(["sh", "-c", script], stdout=PIPE, stderr=PIPE, text=text) as process:
        output = None
        while output is None:
            with pytest.raises(subprocess.TimeoutExpired) as told:
                process.communicate(timeout=0.05)
            output = told.value.output
            assert told.value.stderr is None
        assert output == b"first\n"
        process.kill()
        assert process.communicate() == (("first\n", "") if text else (b"first\n", b""))


def test_a_timeout_of_run_has_the_output(nothing_left: object) -> None:
    """run() kills, reaps, and tells what there was, also when the child has closed its pipes."""
    script = "echo out; echo err >&2; exec >&- 2>&-; exec sleep 1000"
    with pytest.raises(ramet.TimeoutExpired) as told:
        ramet.run(["sh", "-c", script], capture_output=True, timeout=0.5)
    assert (told.value.stdout, told.value.stderr) == (b"out\n", b"err\n")
    assert told.value.timeout == 0.5


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("bufsize", [-1, 100])
def test_what_was_read_before_is_not_lost(text: bool, bufsize: int, nothing_left: object) -> None:
    """After a readline(), communicate() gives the rest, also what the stream had read ahead."""
    with ramet.Popen(["printf", r"1\n2\n3\n"], stdout=PIPE, text=text, bufsize=bufsize) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == ("1\n" if text else b"1\n")
        assert process.communicate()[0] == ("2\n3\n" if text else b"2\n3\n")


def test_streams_are_subprocesss(nothing_left: object) -> None:
    """The streams of a Popen are of the types that subprocess gives, and work as they do."""
    for options in ({}, {"bufsize": 0}, {"text": True}, {"text": True, "bufsize": 1}):
        streams = []
        for kind in (subprocess.Popen, ramet.Popen):
            process: Any = kind(["cat"], stdin=PIPE, stdout=PIPE, **options)
            process.stdin.write("line\n" if "text" in options else b"line\n")
            process.stdin.close()
            assert process.stdout.read() in {"line\n", b"line\n"}
            process.stdout.close()
            assert process.wait(SECONDS) == 0
            streams.append((process.stdin, process.stdout))
        (their_stdin, their_stdout), (our_stdin, our_stdout) = streams
        assert type(our_stdin) is type(their_stdin)
        assert isinstance(our_stdout, type(their_stdout))


@pytest.mark.parametrize(
    ("options", "expected"), [({}, 256 * 1024), ({"pipesize": 128 * 1024}, 128 * 1024)], ids=str
)
def test_a_pipe_that_filled_is_widened(
    options: dict[str, Any], expected: int, nothing_left: object
) -> None:
    """Much output finds a larger pipe, unless its size was said."""
    script = f"head -c {MEBI} /dev/zero; exec sleep 1000"
    with ramet.Popen(["sh", "-c", script], stdout=PIPE, **options) as process:
        assert process.stdout is not None
        size = 0
        while size < MEBI:
            with pytest.raises(ramet.TimeoutExpired) as told:
                process.communicate(timeout=0.05)
            size = len(told.value.output or b"")
        assert fcntl.fcntl(process.stdout.fileno(), fcntl.F_GETPIPE_SZ) == expected
        process.kill()


def test_an_interrupt_is_raised_and_the_child_has_a_moment(nothing_left: object) -> None:
    """^C in communicate() waits briefly for a child that got it as well, and no longer."""
    process = ramet.Popen(["sleep", "1000"], stdout=PIPE, stderr=PIPE)
    me = threading.main_thread().ident
    assert me is not None
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, signal.pthread_kill, (me, signal.SIGINT))
    timer.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        process.communicate()
    assert time.monotonic() - begun < 10
    signal.signal(signal.SIGINT, old)
    timer.join()
    assert process.returncode is None
    process.kill()
    assert process.communicate() == (b"", b"")


def test_memory_is_that_of_input_and_output(nothing_left: object) -> None:
    """What goes through a child and comes back is there twice at the most: once sent, once read."""
    script = """
import ramet, sys
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
size = 200_000_000
data = bytes(1) * size
before = peak()
done = ramet.run(["cat"], input=data, capture_output=True)
assert done.stdout == data
print((peak() - before) / size)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=PIPE, timeout=2 * SECONDS, check=True
    )
    assert 0.9 < float(done.stdout) < 1.2


def test_encodings_are_checked_before_anything_is_made(nothing_left: object) -> None:
    """An encoding that is not known is a LookupError, and nothing is left of the pipes."""
    with pytest.raises(LookupError):
        ramet.Popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE, encoding="no such")
    assert codecs.lookup("utf-8")


def test_a_child_that_takes_its_output_back_keeps_no_deadline_from_coming(
    monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """Whoever has a pipe open for writing can read from it through /proc: a read finds nothing then."""

    class TellsTooMuch:
        """A poll object that says that all can be read."""

        def __init__(self) -> None:
            self._known: list[int] = []

        def register(self, descriptor: int, _: int) -> None:
            self._known.append(descriptor)

        def unregister(self, descriptor: int) -> None:
            self._known.remove(descriptor)

        def poll(self, _: float) -> list[tuple[int, int]]:
            return [(descriptor, select.POLLIN) for descriptor in self._known]

    with ramet.Popen(["sleep", "100"], stdout=ramet.PIPE, stderr=ramet.PIPE) as program:
        with monkeypatch.context() as during:
            during.setattr(select, "poll", TellsTooMuch)
            with pytest.raises(ramet.TimeoutExpired):
                program.communicate(timeout=0.1)
        assert program.stdout is not None
        assert os.get_blocking(program.stdout.fileno())
        program.kill()
