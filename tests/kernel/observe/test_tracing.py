import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

import ramet
from ramet import CloneFlag, Sandbox
from ramet._kernel import procfs
from ramet.observe import trace
from ramet.observe.tracing import (
    Adopted,
    Begun,
    Cost,
    End,
    Event,
    Exec,
    ExecRefused,
    Left,
    Made,
    Moved,
    Refused,
)

from ...constants import SECONDS
from ...waiting import until

E = TypeVar("E", bound=Event)

# A raw call by its number: libc's own would not make one that is refused for certain.
RAW = """
import ctypes, errno, os, platform, struct
from signal import SIGCHLD
x86 = platform.machine() == "x86_64"
CLONE, UNSHARE, SETNS, CLONE3 = (56, 272, 308, 435) if x86 else (220, 97, 268, 435)
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    result = libc.syscall(*map(ctypes.c_long, words))
    return -ctypes.get_errno() if result < 0 else result
def clone3(*words, size=88, keep=[]):
    keep.append(ctypes.create_string_buffer(struct.pack(f"={len(words)}Q", *words)))
    return call(CLONE3, ctypes.addressof(keep[-1]), size)
"""


def traced(*argv: object, **options: object) -> list[Event]:
    with trace([str(word) for word in argv], **options) as events:  # type: ignore[arg-type]
        return list(events)


def of_python(script: str, **options: object) -> list[Event]:
    return traced(sys.executable, "-S", "-c", RAW + script, **options)


def only(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def one(events: list[Event], kind: type[E], holds: Callable[[E], object] = bool) -> E:
    (found,) = filter(holds, only(events, kind))
    return found


def test_clone_exec_and_end_of_a_shell_s_child(nothing_left: object) -> None:
    """Each task has the call that made it, its programs, and its end, in their order."""
    events = traced("sh", "-c", "sleep 0 & wait; exit 3")
    begun, cost = events[0], events[-1]
    assert isinstance(begun, Begun)
    assert (begun.how, begun.parent) == ("started", os.getpid())
    assert isinstance(cost, Cost)
    assert cost.stops >= 5
    assert 0 < cost.held < cost.time
    made = one(events, Made)
    assert (made.tid, made.parent, made.is_thread) == (begun.tid, begun.tid, False)
    assert made.call is not None
    assert made.call.exit_signal == signal.SIGCHLD
    program = one(events, Exec, lambda event: event.tid == made.child)
    assert program.argv == ("sleep", "0")
    assert Path(program.path).name == "sleep"
    child, shell = only(events, End)
    assert (child.tid, child.status.code, shell.tid, shell.status.code) == (
        made.child,
        0,
        begun.tid,
        3,
    )
    assert child.peak is not None
    assert child.peak > 0
    assert [event.time for event in events] == sorted(event.time for event in events)


def test_a_peak_of_the_program_is_its_own(nothing_left: object) -> None:
    """Until its exec it is in this process's memory, which the kernel counts: no less can be told."""
    assert only(traced("true"), End)[0].peak is None
    more = (procfs.own_peak_kib() << 10) + (64 << 20)
    peak = only(traced(sys.executable, "-Ic", f"b'1' * {more}"), End)[0].peak
    assert peak is not None
    assert more < peak < more + (64 << 20)


def test_a_program_in_a_sandbox_is_refused() -> None:
    """By the name of the option that was given."""
    with pytest.raises(ValueError, match="invalid sandbox for a trace"):
        trace(["true"], sandbox=Sandbox())


def test_every_field_of_clone3_is_read(nothing_left: object) -> None:
    """The structure that clone3 reads from the caller's memory is told field by field."""
    events = of_python("""
word = ctypes.c_int()
at = ctypes.addressof(word)
pid = clone3(0x100000 | 0x1000000, 0, at, at, SIGCHLD, 0, 0, 0, 0, 0, 0)
if pid == 0:
    os._exit(7)
os.waitpid(pid, 0)
""")
    made = one(events, Made)
    assert made.call is not None
    assert made.call.flags == CloneFlag.PARENT_SETTID | CloneFlag.CHILD_SETTID
    fields = dict(made.call.fields)
    assert fields["child_tid"] == fields["parent_tid"] > 0
    assert fields["size"] == 88
    assert str(made.call).startswith(
        "clone3({flags=CLONE_PARENT_SETTID|CLONE_CHILD_SETTID, exit_signal=SIGCHLD, child_tid=0x"
    )
    assert one(events, End, lambda end: end.tid == made.child).status.code == 7


def test_a_thread_belongs_to_its_process(nothing_left: object) -> None:
    """A thread is told as one, with its end."""
    events = of_python("import threading; t = threading.Thread(target=int); t.start(); t.join()")
    made = one(events, Made)
    assert made.is_thread
    assert made.call is not None
    assert CloneFlag.THREAD in made.call.flags
    end = one(events, End, lambda end: end.tid == made.child)
    assert (end.pid, end.is_thread) == (made.pid, True)


def test_a_thread_that_execs_becomes_its_process(nothing_left: object) -> None:
    """The exec of a thread that does not lead is told with the leader's tid and the thread's former one."""
    events = of_python("""
import threading
t = threading.Thread(target=os.execv, args=("/bin/sh", ["sh", "-c", "exit 4"]))
t.start(); t.join()
""")
    made = one(events, Made)
    exec_ = one(events, Exec, lambda exec_: exec_.argv[0] == "sh")
    assert (exec_.tid, exec_.former) == (made.tid, made.child)
    assert [end.status.code for end in only(events, End)] == [4]


def test_another_loop_goes_on_where_one_has_ended(nothing_left: object) -> None:
    """Events are told once, and none is lost with a loop that is left."""
    with trace(["true"]) as events:
        first = next(iter(events))
        assert [type(event) for event in [first, *events]] == [Begun, Exec, End, Cost]
        assert list(events) == []


def test_stops_send_no_signal(nothing_left: object) -> None:
    """A thread that waits for SIGCHLD is not woken at each stop of a tracee."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        with trace(["true"], every_call=True) as events:
            iterator = iter(events)
            assert isinstance(next(iterator), Begun)
            assert isinstance(next(iterator), Exec)
            assert signal.SIGCHLD not in signal.sigpending()
    finally:
        while signal.sigtimedwait({signal.SIGCHLD}, 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_attaching_where_the_main_thread_has_ended(nothing_left: object) -> None:
    """The other threads are traced, and left again."""
    script = """
import ctypes, platform, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
"""
    with subprocess.Popen([sys.executable, "-S", "-c", script], stdin=subprocess.PIPE) as process:
        until(lambda: procfs.state(process.pid) == "Z")
        with trace(pid=process.pid) as events:
            begun = next(iter(events))
            assert isinstance(begun, Begun)
            assert (begun.how, begun.pid) == ("attached", process.pid)
            assert begun.tid != process.pid
        process.kill()


def test_vfork_of_a_child_that_ends_before_its_making_is_told(nothing_left: object) -> None:
    """However soon a child ends, it is made once and ends once, and the trace comes to its own."""
    events = of_python("""
for _ in range(300):
    try:
        os.waitpid(os.posix_spawn("/nonexistent", ["no"], {}), 0)
    except FileNotFoundError:
        pass
""")
    children = [made.child for made in only(events, Made)]
    assert len(children) == len(only(events, End)) - 1 == len(only(events, ExecRefused)) == 300
    assert not [event for event in only(events, Begun) if event.how == "untold"]


def test_the_parent_with_clone_parent(nothing_left: object) -> None:
    """The parent of a child made with CLONE_PARENT is its maker's."""
    events = of_python("""
if os.fork() == 0:
    if call(CLONE, 0x8000 | SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)
    os._exit(0)
for _ in range(2):
    os.wait()
""")
    first, second = only(events, Made)
    assert (first.parent, second.tid, second.parent) == (first.tid, first.child, first.tid)


def test_an_orphan_is_adopted(nothing_left: object) -> None:
    """When a process ends, the new parent of its children is told, and they are traced to their end."""
    read, write = os.pipe()
    with trace(["sh", "-c", "(cat <&3 & ) 3<&0; exit 5"], stdin=read) as events:
        os.close(read)
        seen: list[Event] = []
        for event in events:
            seen.append(event)
            if isinstance(event, End) and event.tid == events.pid:
                os.close(write)
    orphan = one(seen, Made, lambda made: made.tid != events.pid)
    adopted = one(seen, Adopted, lambda event: event.tid == orphan.child)
    assert adopted.parent not in {orphan.tid, None}
    assert events.status is not None
    assert events.status.code == 5
    assert [end.tid for end in only(seen, End)][-1] == orphan.child


REFUSED = {
    "clone": ("call(CLONE, 0x10000 | SIGCHLD, 0, 0, 0, 0)", "EINVAL", ["D3"]),
    "clone3": ("clone3(0x800, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0)", "EINVAL", ["D4"]),
    "no memory": ("call(CLONE3, 8, 88)", "EFAULT", ["A3"]),
    "unshare": ("call(UNSHARE, 0x4000)", "EINVAL", ["U1"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_has_its_rules(what: str, nothing_left: object) -> None:
    """A refused call is told with its errno, and with the rules of the law that refused it."""
    code, name, rules = REFUSED[what]
    events = of_python(f"assert {code} == -errno.{name}")
    refused = one(events, Refused)
    assert (refused.errno, [rule.id for rule in refused.rules]) == (name, rules)
    assert one(events, End).status.code == 0


def test_a_refusal_for_want_of_rights(nothing_left: object) -> None:
    """The law is asked for the tracee as its caller: here one without capabilities."""
    drops = "os.setgroups([]); os.setresuid(65534, 65534, 65534)" if os.geteuid() == 0 else ""
    events = of_python(f"{drops}\nassert call(UNSHARE, 0x40000000) == -errno.EPERM")
    refused = one(events, Refused)
    assert refused.errno == "EPERM"
    assert refused.rules
    assert "CAP_SYS_ADMIN" in refused.rules[0].sentence


def test_namespaces_that_are_changed(nothing_left: object) -> None:
    """unshare() and setns() that succeed are told, setns() with what its descriptor refers to."""
    if os.geteuid() != 0:
        pytest.skip("setns needs root")
    events = of_python("""
own = os.open("/proc/self/ns/uts", os.O_RDONLY)
assert call(UNSHARE, 0x4000000) == 0
assert call(SETNS, own, 0) == 0
""")
    left, entered = only(events, Moved)
    assert str(left.call) == "unshare(CLONE_NEWUTS)"
    assert entered.call.target.startswith("uts:[")


def test_a_search_along_path_is_one_exec(tmp_path: Path, nothing_left: object) -> None:
    """The paths that were tried before are told with the exec that has succeeded."""
    env = {"PATH": f"{tmp_path}:{tmp_path}/none:{os.environ['PATH']}"}
    events = traced("true", env=env)
    exec_ = one(events, Exec)
    assert exec_.tried[:2] == (
        (f"{tmp_path}/true", "ENOENT"),
        (f"{tmp_path}/none/true", "ENOENT"),
    )
    assert not only(events, ExecRefused)


def test_a_program_that_is_not_there(nothing_left: object) -> None:
    """It is told as a refused exec, and the trace has the error that a spawn would have raised."""
    with trace(["/nonexistent/program"]) as events:
        told = list(events)
    assert one(told, ExecRefused).errno == "ENOENT"
    assert isinstance(events.error, FileNotFoundError)


def test_arguments_are_read_up_to_a_limit(nothing_left: object) -> None:
    """Arguments beyond the limits are left out, and that is said."""
    argv = ["true", "x" * 300, *map(str, range(50))]
    short = one(traced(*argv), Exec)
    assert short.is_cut
    assert short.argv == ("true", "x" * 200, *map(str, range(30)))
    full = one(traced(*argv, arguments=1000, argument_bytes=10000), Exec)
    assert (full.argv, full.is_cut) == (tuple(argv), False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_an_end_by_a_signal(number: signal.Signals, nothing_left: object) -> None:
    """A signal that ends a task is told, and is not swallowed on its way."""
    events = traced("sh", "-c", f"kill -{int(number)} $$; sleep 1000")
    assert one(events, End, lambda end: end.pid == events[0].pid).status.signal == number


def test_a_stop_stays_a_stop(nothing_left: object) -> None:
    """A task that SIGSTOP has stopped stays so, for its parent too, until SIGCONT."""
    events = of_python("""
import signal
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(6)
_, status = os.waitpid(pid, os.WUNTRACED)
assert os.WIFSTOPPED(status)
os.kill(pid, signal.SIGCONT)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 6
""")
    assert [end.status.code for end in only(events, End)] == [6, 0]


def test_a_program_with_a_filter_of_its_own(nothing_left: object) -> None:
    """What a filter of the program's refuses is seen with every_call, and only then."""
    script = """
import struct
libc.prctl(38, 1, 0, 0, 0)
code = b"".join(struct.pack("=HBBI", *i) for i in (
    (0x20, 0, 0, 0), (0x15, 0, 1, UNSHARE),
    (0x06, 0, 0, 0x00050000 | errno.EPERM), (0x06, 0, 0, 0x7FFF0000)))
text = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", 4, ctypes.addressof(text)))
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0) == 0
assert call(UNSHARE, 0x400) == -errno.EPERM
"""
    assert not only(of_python(script), Refused)
    refused = one(of_python(script, every_call=True), Refused)
    assert refused.errno == "EPERM"
    assert [rule.id for rule in refused.possible][-1] == "ramet-filter"


def test_the_same_without_a_filter(nothing_left: object) -> None:
    """With every_call the same is told, with more stops."""
    script = "sleep 0 & wait; nosuch; exit 3"
    quick, slow = traced("sh", "-c", script), traced("sh", "-c", script, every_call=True)
    assert [type(event) for event in quick] == [type(event) for event in slow]
    assert one(slow, Cost).stops > 2 * one(quick, Cost).stops


def test_an_untraced_child_is_told(nothing_left: object) -> None:
    """A clone call with CLONE_UNTRACED is told as such, and nothing of the child's."""
    events = of_python("""
pid = call(CLONE, 0x800000 | SIGCHLD, 0, 0, 0, 0)
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
""")
    made = one(events, Made)
    assert not made.is_traced
    assert len(only(events, End)) == 1


# ---- attaching


@pytest.fixture
def busy() -> Iterator[int]:
    """A process with two threads that makes a child for each byte that it reads."""
    script = """
import os, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
while sys.stdin.buffer.read(1):
    pid = os.fork()
    if pid == 0:
        os._exit(8)
    os.waitpid(pid, 0)
    print("made", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        busy_processes[process.pid] = process
        yield process.pid
        process.stdin.close()
        assert process.wait(SECONDS) == 0


busy_processes: "dict[int, subprocess.Popen[bytes]]" = {}


def have_a_child_made(pid: int) -> None:
    process = busy_processes[pid]
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"x")
    assert process.stdout.readline() == b"made\n"


def test_a_process_is_attached_to_and_left(busy: int) -> None:
    """All its threads are traced, and its children; when the trace is left it goes on as before."""

    def leave_after_a_child() -> None:
        have_a_child_made(busy)
        events.leave()

    with trace(pid=busy) as events:
        thread = threading.Thread(target=leave_after_a_child)
        thread.start()
        told = list(events)
        thread.join()
    begun = only(told, Begun)
    assert {event.how for event in begun} == {"attached"}
    assert sorted(event.tid for event in begun) == sorted(map(int, procfs.threads(busy)))
    assert one(told, End).status.code == 8
    assert {event.tid for event in only(told, Left)} == {event.tid for event in begun}
    assert procfs.status(busy)["TracerPid"] == "0"
    have_a_child_made(busy)


def test_a_process_has_one_tracer(busy: int) -> None:
    """The error names the process that traces it already."""
    with trace(pid=busy) as events:
        assert isinstance(next(iter(events)), Begun)
        with pytest.raises(PermissionError, match=r"traced by|one tracer") as caught:
            ramet.clone(lambda: trace(pid=busy)).result()
        assert caught.value.errno == errno.EPERM
        assert f"traced by process {os.getpid()} already" in str(caught.value)


def test_there_is_no_such_process() -> None:
    """The error says so."""
    with pytest.raises(ProcessLookupError, match="there is no process 4194303"):
        trace(pid=4194303)


def test_either_a_program_or_a_process() -> None:
    """Both, or none, is a mistake of the caller's."""
    with pytest.raises(TypeError, match="expected one of the two"):
        trace()
    with pytest.raises(TypeError, match="expected one of the two"):
        trace(["true"], pid=1)


# ---- the end of the tracer


def test_leaving_early_kills_what_was_started(nothing_left: object) -> None:
    """On leaving the block the program and all that it has started are killed."""
    pids: list[int] = []
    with trace(["sh", "-c", "sleep 1000 & sleep 1000"]) as events:
        for event in events:
            if isinstance(event, Exec):
                pids.append(event.tid)
            if len(pids) == 3:
                break
    assert not [pid for pid in pids if procfs.state(pid) not in {"", "Z"}]


def test_a_trace_that_nobody_reads(nothing_left: object) -> None:
    """The program of a trace that is left before its first event never begins."""
    with trace(["sh", "-c", "echo it ran >&2"]) as events:
        pass
    assert events.status is None
    assert procfs.state(events.pid) in {"", "Z"}


def test_a_tracer_that_is_killed_leaves_nothing(nothing_left: object) -> None:
    """SIGKILL to the tracing process ends all that it has started."""
    script = """
from ramet.observe import trace
from ramet.observe.tracing import Exec
for event in trace(["sh", "-c", "sleep 1000 & sleep 1000"]):
    if isinstance(event, Exec):
        print(event.tid, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as tracer:
        assert tracer.stdout is not None
        pids = [int(tracer.stdout.readline()) for _ in range(3)]
        tracer.kill()
    until(lambda: not [pid for pid in pids if procfs.state(pid) not in {"", "Z"}])


def test_a_tracer_that_is_killed_lets_go_of_what_it_attached_to(busy: int) -> None:
    """SIGKILL to the tracing process neither kills nor stops what it has attached to."""
    script = f"""
from ramet.observe import trace
for event in trace(pid={busy}):
    print("attached", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "attached\n"
        tracer.kill()
    have_a_child_made(busy)
    until(lambda: procfs.state(busy) == "S")
