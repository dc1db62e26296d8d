import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

import ramet
from ramet import Child, CloneError, CloneFlag
from ramet import CloneFlag as F
from ramet.cli.group import ramet as command_line

from ...constants import PATIENT_SECONDS as SECONDS


def nothing() -> None:
    pass


def one(value: object) -> object:
    return value


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"args": (1,)}, r"arguments follow fn: clone\(fn, 1, 2\)"),
        ({"kwargs": {}}, r"functools.partial\(fn, key=value\)"),
        ({"value": 1}, r"functools.partial\(fn, value=...\)"),
        ({"cwdd": "/"}, "did you mean 'cwd'"),
        ({"setsid": True}, "did you mean 'start_new_session'"),
        ({"uid": 1}, "did you mean 'user'"),
        ({"memory": "1G"}, r"sandbox=ramet.Sandbox\(memory=...\); Template.clone\(\) and Executor"),
        (
            {"cpus": 1},
            r"ramet.clone\(\) and Template take a wish of sandbox=ramet.Sandbox\(cpus=...\)$",
        ),
        ({"timout": 1}, "did you mean 'timeout'"),
        ({"trsted": True}, "did you mean 'trusted'"),
        ({"env": {}}, "only for a program"),
        ({"preexec_fn": nothing}, "at the start of fn"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("verb", [ramet.clone, ramet.vfork])
def test_a_keyword_that_is_no_option_says_what_was_meant(
    verb: Any, keywords: dict[str, Any], words: str, nothing_left: object
) -> None:
    """Arguments in the manner of threading, keywords of fn and slips each have their hint."""
    with pytest.raises(TypeError, match=words):
        verb(nothing, **keywords)


POPENS = {"shel": "shell", "bufsze": "bufsize", "encodng": "encoding", "preexec": "preexec_fn"}
RUNS = POPENS | {
    "timout": "timeout",
    "inpt": "input",
    "kil_tree": "kill_tree",
    "killafter": "kill_after",
}
CAPTURES = {"capture_ouput": "capture_output", "chek": "check"}
ANY = {"cwdd": "cwd", "usr": "user", "die_with_parrent": "die_with_parent", "stdou": "stdout"}
CALLS = {name: word for name, word in RUNS.items() if word != "input"}


def in_loop(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The same, which returns what comes of it in a loop of its own."""

    @functools.wraps(verb)
    def run_in_loop(*args: Any, **keywords: Any) -> Any:
        return asyncio.run(verb(*args, **keywords))

    return run_in_loop


def full_name(value: object) -> str:
    """A verb with its module: there are two of the name run."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else str(value)


@pytest.mark.parametrize(
    ("verb", "slips"),
    [
        (ramet.run, RUNS | CAPTURES | ANY),
        (ramet.check_output, RUNS | ANY),
        (ramet.getoutput, RUNS | ANY),
        (ramet.call, CALLS | ANY),
        (ramet.check_call, CALLS | ANY),
        (ramet.Popen, POPENS | ANY),
        (ramet.Command, ANY),
        (in_loop(ramet.aio.run), RUNS | CAPTURES | ANY),
        (in_loop(ramet.aio.open_process), POPENS | ANY),
        (in_loop(ramet.aio.spawn), ANY),
    ],
    ids=full_name,
)
def test_a_slip_is_told_by_the_words_of_the_verb(
    verb: Callable[..., Any], slips: dict[str, str], nothing_left: object
) -> None:
    """Each verb that starts a program knows its own words and those of what it calls."""
    for slip, word in slips.items():
        with pytest.raises(TypeError, match=rf"no option '{slip}'; did you mean '{word}'\?$"):
            verb(["true"], **{slip: 1})


@pytest.mark.parametrize(
    ("verb", "word", "hint"),
    [
        (ramet.Popen, "timeout", "only run"),
        (ramet.Popen, "capture_output", "only run"),
        (in_loop(ramet.aio.spawn), "check", "only run"),
        (ramet.Command, "shell", "only Popen, run"),
        *((verb, "argv", "words come first") for verb in (ramet.run, ramet.call, ramet.Popen)),
        *(
            (in_loop(verb), "argv", "words come first")
            for verb in (ramet.aio.run, ramet.aio.open_process, ramet.aio.spawn)
        ),
        (ramet.run, "cmd", "words come first"),
    ],
    ids=full_name,
)
def test_a_word_of_another_verb_is_said_to_be(
    verb: Callable[..., Any], word: str, hint: str, nothing_left: object
) -> None:
    """What some other verb takes is refused with its name."""
    with pytest.raises(TypeError, match=f"no option '{word}' here; .*{hint}"):
        verb(["true"], **{word: 1})


NAMES_ELSEWHERE = {
    "setsid": "start_new_session",
    "groups": "extra_groups",
    "uid": "user",
    "gid": "group",
    "environ": "env",
}


@pytest.mark.parametrize("verb", [ramet.run, ramet.Popen, ramet.Command], ids=full_name)
def test_what_others_call_an_option_is_known(
    verb: Callable[..., Any], nothing_left: object
) -> None:
    """The names of system calls and of the os module lead to options, and wishes to the sandbox."""
    for name, word in NAMES_ELSEWHERE.items():
        with pytest.raises(TypeError, match=rf"no option '{name}'; did you mean '{word}'\?$"):
            verb(["true"], **{name: 1})
    for wish in ("memory", "processes", "cpus", "network", "read", "write"):
        told = rf"no option '{wish}' here; it is a wish of sandbox=ramet.Sandbox\({wish}=...\)$"
        with pytest.raises(TypeError, match=told):
            verb(["true"], **{wish: 1})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("VM", r"CloneFlag.parse\('VM'\)"),
        ([F.VM, F.FS], r"CloneFlag.VM \| CloneFlag.FS"),
        (None, "got None"),
        (1.5, "got 1.5"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda flags: ramet.clone(nothing, flags=flags),
        lambda flags: ramet.vfork(nothing, flags=flags),
        lambda flags: ramet.fork(flags),
        lambda flags: ramet.predict(flags),
        lambda flags: ramet.lowlevel.clone(int, None, flags),
        lambda flags: ramet.lowlevel.clone3(ramet.lowlevel.CloneArgs(flags=flags)),
    ],
    ids=["clone", "vfork", "fork", "predict", "lowlevel.clone", "lowlevel.clone3"],
)
def test_flags_that_are_no_number_say_what_makes_one(
    call: Callable[[Any], object], flags: object, words: str, nothing_left: object
) -> None:
    """Text is for CloneFlag.parse(), a list is joined."""
    with pytest.raises(TypeError, match=words):
        call(flags)


def test_flags_of_a_program_as_text() -> None:
    """The same for a program's."""
    with pytest.raises(TypeError, match=r"CloneFlag\.parse"):
        ramet.Command(["true"], flags="NEWUTS")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"CloneFlag\.parse"):
        CloneFlag("VM")  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", [ramet.clone, ramet.vfork])
def test_a_flag_that_fn_cannot_take_is_refused(verb: Any, nothing_left: object) -> None:
    """Where fn takes no argument, the flag was meant for flags=."""
    with pytest.raises(TypeError, match=r"\(nothing, flags=CloneFlag.VM\|CloneFlag.FS\)"):
        verb(nothing, F.VM | F.FS)


@pytest.mark.parametrize("verb", [ramet.clone, ramet.vfork])
def test_a_flag_that_fn_may_want_is_warned_of(verb: Any, nothing_left: object) -> None:
    """Where fn takes it, it is handed over, with a warning that names the caller's line."""
    with pytest.warns(RuntimeWarning, match=r"\(one, flags=CloneFlag.VM\)") as told:
        assert verb(one, F.VM).result(SECONDS) == F.VM
    assert told[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="len"):
        assert verb(len, F.VM).result(SECONDS) == 1


def test_a_flag_that_is_meant_is_no_trouble(nothing_left: object) -> None:
    """One beside flags=, or a bound one, warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ramet.clone(functools.partial(one, F.VM)).result(SECONDS) == F.VM
        assert ramet.clone(one, F.VM, flags=F.VM).result(SECONDS) is F.VM
        assert ramet.clone(one, F.VM, flags=0).result(SECONDS) == F.VM


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ramet.clone(["true"]), r"a program is started by ramet.run\(argv\)"),  # type: ignore[arg-type]
        (lambda: ramet.vfork("true"), r"a program is started by ramet.run\(argv\)"),  # type: ignore[arg-type]
        (lambda: ramet.clone(nothing()), r"hand over the function"),  # type: ignore[func-returns-value, arg-type]
        (lambda: ramet.clone(len("one")), r"got int; hand over the function"),  # type: ignore[arg-type]
        (lambda: ramet.clone(nothing, capture_output=True), r"ramet.Executor\(capture_output="),  # type: ignore[call-arg]
        (lambda: ramet.clone(target=nothing, args=()), r"comes first: clone\(fn, 1, 2\)"),  # type: ignore[call-arg]
        (lambda: ramet.vfork(), r"comes first: vfork\(fn, 1, 2\)"),  # type: ignore[call-arg]
        (lambda: ramet.run("echo", "hi"), r"one list, run\(\['echo', 'hi'\]\)$"),  # type: ignore[call-overload]
        (lambda: ramet.fork(nothing), r"clone\(fn\)"),  # type: ignore[arg-type]
        (lambda: ramet.wait(ramet.vfork(nothing)), r"wait\(\[child\]\) or child.wait\(\)"),  # type: ignore[arg-type]
        (lambda: ramet.vfork(nothing).send_signal("TERM"), "signal.SIGTERM"),  # type: ignore[arg-type]
        (lambda: bool(ramet.vfork(nothing).poll()), r"poll\(\) is not None"),
    ],
    ids=[
        "argv",
        "command",
        "result",
        "another result",
        "output",
        "target",
        "nothing",
        "two words",
        "fork",
        "wait",
        "signal",
        "truth",
    ],
)
def test_what_is_no_function_says_what_is_there_for_it(
    call: Callable[[], object], words: str, nothing_left: object
) -> None:
    """Programs, results, single children, signals by name, and a status as a truth."""
    with pytest.raises(TypeError, match=words):
        call()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("join", r"child.wait\(\)"),
        ("is_alive", r"child.poll\(\) is None"),
        ("exitcode", "child.exit_status"),
        ("returncode", "child.exit_status"),
        ("communicate", "ramet.Popen"),
        ("get", r"child.result\(\)"),
        ("nonsense", "'Child' object has no attribute 'nonsense'$"),
    ],
)
def test_a_handle_names_its_own_words_for_others(name: str, words: str) -> None:
    """A name of multiprocessing, subprocess or futures is answered with what a Child has instead."""
    child = ramet.vfork(nothing)
    with pytest.raises(AttributeError, match=words):
        getattr(child, name)
    assert not hasattr(child, name)


def test_a_process_in_a_loop_names_its_own_words_for_others(nothing_left: object) -> None:
    """So do its streams and the module itself, for who knows asyncio's or subprocess's."""

    def asked(thing: object, name: str) -> str:
        with pytest.raises(AttributeError) as caught:
            getattr(thing, name)
        return str(caught.value)

    async def main() -> None:
        pipe = ramet.PIPE
        async with await ramet.aio.open_process(["cat"], stdin=pipe, stdout=pipe) as process:
            assert "ramet.aio.run(argv, input=" in asked(process, "communicate")
            assert "receive()" in asked(process.stdout, "read")
            assert "send(data)" in asked(process.stdin, "write")
            assert asked(process, "nonsense") == "'Process' has no attribute 'nonsense'"
        assert "await ramet.clone(fn)" in asked(ramet.aio, "clone")
        assert asked(ramet.aio, "nonsense") == "'ramet.aio' has no attribute 'nonsense'"
        async with ramet.aio.Executor(1) as executor:
            assert "await run(fn, 1, 2)" in asked(executor, "submit")
            with pytest.raises(TypeError, match=r"not what it returns: run\(fn, 1, 2\)"):
                await executor.run(len("one"))  # type: ignore[arg-type]
        told = pytest.raises(TypeError, match=r"not what it returns: run\(fn, 1, 2\)")
        with ramet.Template(spares=0) as template, told:
            await template.run(len("one"))  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("VM", "ramet.CloneFlag.VM$"),
        ("CLONE_NEWNET", "ramet.CloneFlag.NEWNET$"),
        ("spawn", r"ramet.Command\(argv\).spawn\(\)"),
        ("Pool", r"ramet.Executor\(4\) has map"),
        ("ProcessPoolExecutor", "it is ramet.Executor$"),
        ("clon", "did you mean ramet.clone"),
        ("ClonFlag", "did you mean ramet.CloneFlag"),
        ("_clone", "has no attribute '_clone'$"),
        ("nonsense", "has no attribute 'nonsense'$"),
    ],
)
def test_the_package_names_its_own_words_for_others(name: str, words: str) -> None:
    """A flag is in CloneFlag, and what others call by another name is named."""
    with pytest.raises(AttributeError, match=words):
        getattr(ramet, name)


@pytest.mark.parametrize("name", ["Sandboks", "CloneFlag.NEWNETT"])
def test_the_nearest_name_is_told_once(name: str) -> None:
    """Python adds its own suggestion where the error does not prevent that."""
    program = [sys.executable, "-c", f"import ramet; ramet.{name}"]
    done = subprocess.run(program, stderr=subprocess.PIPE, text=True, check=False, timeout=SECONDS)
    assert "Did you mean" not in done.stderr
    assert "did you mean ramet.Sandbox?" in done.stderr or "is CLONE_NEWNET" in done.stderr


@pytest.mark.parametrize("name", ["submit", "map"])
def test_a_template_names_the_executor(name: str) -> None:
    """Which has what pools have."""
    with ramet.Template() as template:
        with pytest.raises(AttributeError, match=r"ramet.Executor\(template=template\)"):
            getattr(template, name)
        assert not hasattr(template, name)
        assert not hasattr(ramet.Template, name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("apply_async", r"submit\(fn, 1, 2\) returns a future"),
        ("starmap", r"map\(fn, \*zip\(\*items\)\)"),
        ("imap", r"map\(fn, items\)"),
        ("schedule", r"submit\(fn, 1, 2\)"),
        ("close", r"shutdown\(\) takes no more calls"),
        ("terminate", r"kill_workers\(\) ends them at once"),
        ("nonsense", "'Executor' object has no attribute 'nonsense'$"),
    ],
)
def test_an_executor_names_its_own_words_for_other_pools(name: str, words: str) -> None:
    """For those of multiprocessing, pebble and a Template."""
    with ramet.Executor(1) as executor:
        with pytest.raises(AttributeError, match=words):
            getattr(executor, name)
        assert not hasattr(executor, name)


def one_option(value: object, *, memory: object = None) -> object:
    return memory


@pytest.mark.parametrize("name", ["timeout", "memory"])
def test_a_limit_that_fn_does_not_take_is_the_executors(name: str, nothing_left: object) -> None:
    """It is a keyword of fn where that has it, and else the error says who takes it."""
    with ramet.Executor(1) as executor:
        with pytest.raises(
            TypeError, match=rf"len\(\) takes no such argument; .*Executor\({name}=5\)"
        ):
            executor.submit(len, "one", **{name: 5})
        assert executor.submit(one_option, 1, memory=7).result() == 7
        assert executor.submit(dict, timeout=1, memory=2).result() == {"timeout": 1, "memory": 2}
        # What is wrong beside is what the call says.
        with pytest.raises(TypeError, match="argument"):
            executor.submit(len, "one", "two", **{name: 5}).result()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Pool", r"; a context has it: context\(\).Pool$"),
        ("get_context", r"; it is context\(\)"),
        ("nonsense", "'nonsense'$"),
        ("_actual_context", "'_actual_context'$"),
    ],
)
def test_what_multiprocessing_has_is_a_contexts(name: str, words: str) -> None:
    """Who writes it of the module is told so."""
    with pytest.raises(AttributeError, match=f"'ramet.multiprocessing' has no attribute .*{words}"):
        getattr(ramet.multiprocessing, name)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("mem", "memory"),
        ("memory_limit", "memory"),
        ("deadline", "timeout"),
        ("n_jobs", "max_workers"),
    ],
)
def test_an_executors_keyword_by_another_name_is_found(name: str, word: str) -> None:
    """No process is started."""
    with pytest.raises(TypeError, match=f"no option '{name}'; did you mean '{word}'"):
        ramet.Executor(1, **{name: 1})  # type: ignore[arg-type]


def test_a_vfork_child_is_reaped_already(nothing_left: object) -> None:
    """Its handle says so where there is no descriptor any more."""
    child = ramet.vfork(nothing)
    with pytest.raises(ValueError, match=r"vfork\(\) has waited for it, and reaped"):
        child.fileno()
    other = ramet.clone(nothing)
    other.wait(SECONDS)
    with pytest.raises(ValueError, match="it has been waited for"):
        other.fileno()


def refused(call: Callable[[], Child[Any] | int]) -> CloneError:
    with pytest.raises(CloneError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (lambda: ramet.clone(nothing, flags=F.THREAD), "flags CLONE_THREAD"),
        (lambda: ramet.clone(nothing, flags=F.FS | F.NEWNS), "flags CLONE_FS|CLONE_NEWNS"),
        (lambda: ramet.fork(F.SIGHAND), "flags CLONE_SIGHAND"),
        (
            lambda: ramet.Command(["true"], flags=F.FS | F.NEWNS | signal.SIGCHLD).spawn(),
            "flags CLONE_FS|CLONE_NEWNS",
        ),
        (
            lambda: ramet.lowlevel.clone(
                int, None, F.PIDFD | F.THREAD, ptid=ramet.lowlevel.TidWord()
            ),
            "flags CLONE_PIDFD|CLONE_THREAD",
        ),
    ],
    ids=["clone", "clone-copy", "fork", "Command", "lowlevel"],
)
def test_an_error_shows_the_flags_that_were_asked_for(
    call: Callable[[], Any], asked: str, nothing_left: object
) -> None:
    """And not those that the library has added."""
    error = refused(call)
    assert error.asked.removesuffix(", exit signal SIGCHLD") == asked


def test_an_error_shows_the_remedy(nothing_left: object) -> None:
    """Each rule's own is in the text."""
    error = refused(lambda: ramet.clone(nothing, flags=F.THREAD | F.NEWUSER))
    assert len(error.rules) == 2
    assert all(f"{rule.sentence}; remedy: {rule.remedy}" in str(error) for rule in error.rules)


def test_a_plain_user_is_told_to_add_newuser(nothing_left: object) -> None:
    """A namespace of one's own needs privileges, and NEWUSER gives them."""

    def ask() -> str:
        try:
            ramet.clone(nothing, flags=F.NEWNS).wait(SECONDS)
        except CloneError as error:
            return str(error)
        return "granted"

    told = ramet.clone(ask, permitted_caps=[]).result(SECONDS)
    assert told.startswith("EPERM: rule J1")
    assert "remedy: add CLONE_NEWUSER" in told
    assert "(flags CLONE_NEWNS, exit signal SIGCHLD)" in told


@pytest.mark.parametrize("argv", ["echo hi", ["echo hi"]])
def test_a_whole_line_is_no_program(argv: Any, nothing_left: object) -> None:
    """Its words are shown apart, and the shell is named."""
    with pytest.raises(ramet.SpawnError, match=r"\['echo', 'hi'\], or use a shell"):
        ramet.run(argv)


@pytest.mark.parametrize(("argv", "words"), [("true", "shlex.split"), (nothing, r"clone\(fn\)")])
def test_a_command_has_words(argv: Any, words: str) -> None:
    """One string, and a function, are told what makes a child of them."""
    with pytest.raises(TypeError, match=words):
        ramet.Command(argv)


@pytest.mark.parametrize("flags", [F(0), F.VM])
def test_a_handle_tells_the_truth_of_a_child_that_has_ended(flags: F, nothing_left: object) -> None:
    """Also when nobody has waited for it, and the tree was killed; to look at it reaps nothing."""
    reader, writer = os.pipe()
    child = ramet.clone(os.read, reader, 1, flags=flags)
    assert repr(child).endswith(": running>")
    os.write(writer, b"x")
    assert ramet.wait([child], SECONDS) == [child]
    assert repr(child).endswith(": has ended, not waited for yet>")
    assert child.exit_status is None
    assert child.result(SECONDS) == b"x"
    assert repr(child).endswith(": exited with 0>")
    killed = ramet.clone(signal.pause, flags=flags)
    killed.kill_tree(SECONDS)
    assert repr(killed).endswith(": has ended, not waited for yet>")
    killed.wait(SECONDS)
    assert repr(killed).endswith(": killed by SIGKILL>")
    os.close(reader)
    os.close(writer)


def test_a_handle_tells_that_its_child_is_to_be_started(nothing_left: object) -> None:
    """One made with start=False is not said to run."""
    with ramet.Command(["true"], start=False).spawn() as child:
        assert repr(child).endswith(": waits for start()>")
        child.start()
        assert "waits" not in repr(child)


def test_a_prompt_shows_all(nothing_left: object) -> None:
    """An explanation and a relation are shown whole, as print() does."""
    explanation = ramet.explain(F.THREAD)
    assert repr(explanation) == str(explanation)
    assert "Smallest changes" in repr(explanation)
    relation = ramet.relation(os.getpid(), os.getpid())
    assert repr(relation) == str(relation)
    assert "shared: memory" in repr(relation)


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"exit_signal": "SIGUSR1"}, TypeError, "expected a number such as signal.SIGUSR1"),
        (
            {"stack_size": "8M", "flags": F.VM},
            TypeError,
            "invalid stack_size: expected a number of bytes, got '8M'",
        ),
        ({"set_tid": 7}, TypeError, "expected a sequence of pids, the innermost first, got 7"),
        ({"name": 3}, TypeError, "invalid name: expected a str, got int"),
        ({"flags": -1}, ValueError, "invalid flags: expected 0 or more, got -1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_argument_of_the_wrong_kind_is_named(
    keywords: dict[str, Any], error: type[Exception], words: str, nothing_left: object
) -> None:
    """And not in the words of what first stumbled over it."""
    with pytest.raises(error, match=words):
        ramet.clone(nothing, **keywords)


def test_what_only_clone_takes_is_said_to_be(nothing_left: object) -> None:
    """vfork() has no timeout: it waits."""
    with pytest.raises(TypeError, match=r"'timeout' here, only for ramet.clone\(\)"):
        ramet.vfork(nothing, timeout=1)  # type: ignore[call-arg]


def test_clone3_takes_its_structure() -> None:
    """A function in its place is told which."""
    with pytest.raises(TypeError, match=r"clone3\(CloneArgs\(flags=...\), fn, arg\)"):
        ramet.lowlevel.clone3(nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CLONE_VM", "it is CloneFlag.VM$"),
        ("vm", "it is CloneFlag.VM$"),
        ("clone_newnet", "it is CloneFlag.NEWNET$"),
        ("NEWNETT", "the nearest known name is CLONE_NEWNET$"),
        ("nonsense", "has no attribute 'nonsense'$"),
    ],
)
def test_a_flag_by_another_name_is_found(name: str, words: str) -> None:
    """With the kernel's prefix, and with a slip."""
    with pytest.raises(AttributeError, match=words):
        getattr(CloneFlag, name)


@pytest.mark.parametrize(("name", "words"), [("run", "spawn"), ("wait", "Child"), ("x", "'x'$")])
def test_a_command_is_no_child_yet(name: str, words: str) -> None:
    """What a child has, and what runs one, is named."""
    with pytest.raises(AttributeError, match=words):
        getattr(ramet.Command(["true"]), name)


def test_a_status_is_no_number(nothing_left: object) -> None:
    """Compared with one, as subprocess's is, it would be unequal to every one in silence."""
    status = ramet.vfork(nothing).wait()
    with pytest.raises(TypeError, match=r"compare .code with 0, or use .success"):
        assert status == 0
    with pytest.raises(TypeError, match="is not a number"):
        assert status != 0
    with pytest.raises(TypeError, match="is not a number"):
        assert 0 == status  # noqa: SIM300 - the other way round
    assert status == ramet.ExitStatus(code=0, reason="exited")
    assert (status == "exited with 0") is False


def test_a_program_gives_no_result(nothing_left: object) -> None:
    """The error says what there is instead."""
    with pytest.raises(ramet.ChildDied) as caught:
        ramet.Command(["true"]).spawn().result(SECONDS)
    assert caught.value.__notes__ == ["a program has no result: wait() returns how it ended"]


async def meant_for_a_loop() -> int:
    return 1


def test_a_coroutine_function_needs_a_loop(nothing_left: object) -> None:
    """What it returns cannot be sent; there is no warning besides."""
    with pytest.raises(ramet.ResultError, match=r"call asyncio\.run\(\) in fn"):
        _ = ramet.clone(meant_for_a_loop).result(SECONDS)
    assert ramet.clone(lambda: asyncio.run(meant_for_a_loop())).result(SECONDS) == 1


def numbers() -> Iterator[int]:
    yield 1


def test_a_generator_is_no_result(nothing_left: object) -> None:
    """It cannot be sent, and the error says what can."""
    with pytest.raises(ramet.ResultError, match=r"'generator' object; .* return a list"):
        _ = ramet.clone(numbers).result(SECONDS)


def test_the_list_of_commands_has_whole_sentences() -> None:
    """In a terminal of 80 columns: click cuts a sentence that is too long for a line."""
    done = CliRunner().invoke(command_line, ["--help"], terminal_width=80)
    assert "..." not in done.output.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu", "true"], "there is no command 'rnu': did you mean 'run'?"),
        (["sleep", "3"], "there is no command 'sleep': a program is run by 'ramet run'"),
    ],
)
def test_a_command_line_that_is_none(arguments: list[str], words: str) -> None:
    """A slip finds the command; a program is told how it is run."""
    done = CliRunner().invoke(command_line, arguments)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"ramet: {words}"


def test_the_tour_takes_rows_as_words() -> None:
    """`ramet tour VM tls` is `ramet tour --only VM,tls`."""
    done = CliRunner().invoke(command_line, ["tour", "--json", "VM", "tls"])
    assert [row["id"] for row in json.loads(done.stdout)["rows"]] == ["P9", "VM"]


def test_who_looks_into_every_module_imports_nothing() -> None:
    """A look-up of a name with underscores, as CPython's own tests make it, changes no sys.modules."""
    look = """
import sys, ramet
child, command = ramet.clone(int), ramet.Command(["true"])
child.wait()
before = set(sys.modules)
for each in sys.modules.values():
    hasattr(each, "__warningregistry__"), hasattr(each, "_what_nobody_has")
assert not hasattr(child, "__len__") and not hasattr(command, "__len__")
print(set(sys.modules) - before)
for each in (ramet, child, command, ramet.aio):
    try:
        each.__no_such_name__
    except AttributeError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "set()",
            "module 'ramet' has no attribute '__no_such_name__'",
            "'Child' object has no attribute '__no_such_name__'",
            "'Command' object has no attribute '__no_such_name__'",
            "'ramet.aio' has no attribute '__no_such_name__'",
        ],
        "",
    )
