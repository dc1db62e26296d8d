import os

from ramet.observe.looks import look, processes, threads


def test_a_process_is_seen_with_its_parent() -> None:
    """Name, parent and time of start are those of /proc."""
    me = look(os.getpid())
    assert me is not None
    assert (me.pid, me.process, me.parent) == (os.getpid(), os.getpid(), os.getppid())
    with open("/proc/self/comm") as file:
        assert me.name == file.read().rstrip("\n")
    assert not me.is_thread
    assert not me.kernel


def test_no_process_is_none() -> None:
    """A pid that nobody has, and a thread that the process has not."""
    assert look(2**22 + 1) is None
    assert look(2**22 + 1, os.getpid()) is None


def test_another_task_with_the_pid_is_not_taken_for_it() -> None:
    """Who started at another time is another: the first has ended, and nothing of the second is told."""
    me = look(os.getpid())
    assert me is not None
    me.look_further()
    assert me.namespaces["ns_net"] == os.stat("/proc/self/ns/net").st_ino
    me.look_again()
    assert not me.has_ended
    me.start_time -= 1
    me.look_again()
    assert (me.state, me.namespaces, me.cgroups) == ("X", {}, {})


def test_every_parent_is_older() -> None:
    """From parent to parent is the way to one without: nothing is in a circle."""
    found = processes()
    assert found[os.getpid()].parent == os.getppid()
    for one in found.values():
        parent = found.get(one.parent)
        assert parent is None or parent.start_time <= one.start_time


def test_the_first_thread_is_not_among_the_others() -> None:
    """A process is its first thread."""
    me = look(os.getpid())
    assert me is not None
    assert os.getpid() not in [thread.pid for thread in threads(me)]
