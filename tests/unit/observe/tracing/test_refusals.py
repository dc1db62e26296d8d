from ramet import CloneFlag
from ramet.observe.tracing.calls import Call
from ramet.observe.tracing.records import Part
from ramet.observe.tracing.refusals import caller_of, reasons_for

STATUS = b"Name:\tsh\nNSpid:\t70\t1\nThreads:\t3\nCapEff:\t0000000000000000\nSeccomp_filters:\t2\n"


def call(name: str, flags: CloneFlag) -> Call:
    return Call(name, flags, 0, (), "", 0.0)


def parts(status: bytes = STATUS) -> tuple[Part, ...]:
    return Part(status, is_cut=False), Part(b"user:[4026531837]", is_cut=False)


def test_the_caller_is_the_tracee() -> None:
    """Its status says what it may do, in which namespaces it is, and how many threads it has."""
    caller = caller_of({"CapEff": "200000", "NSpid": "70 1", "Threads": "3"}, "user:[7]")
    assert caller.privileged
    assert (caller.pid_ns_depth, caller.pid_ns_init, caller.user_ns_depth) == (1, True, 1)
    assert (caller.threads, caller.traced) == (3, True)
    assert not caller_of({"CapEff": "0"}, "").privileged


def test_the_rules_that_give_the_errno() -> None:
    """Where the law predicts the errno, they are certain."""
    reasons = reasons_for(call("unshare", CloneFlag.NEWNET), "EPERM", parts(), own_filters=1)
    assert reasons.rules
    assert not reasons.possible


def test_another_errno_may_be_a_filter_s() -> None:
    """A filter besides the tracer's may have answered; the tracer's own has not."""
    asked = call("unshare", CloneFlag.FS)
    assert reasons_for(asked, "ENOSYS", parts(), own_filters=1).possible[-1].id == "ramet-filter"
    assert reasons_for(asked, "ENOSYS", parts(), own_filters=2).possible == ()


def test_a_caller_that_cannot_be_read() -> None:
    """Without its status the bits of the call still decide."""
    reasons = reasons_for(call("clone", CloneFlag.THREAD), "EINVAL", (), own_filters=1)
    assert [rule.id for rule in reasons.rules] == ["D3"]
