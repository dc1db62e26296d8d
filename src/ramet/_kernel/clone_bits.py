"""The clone flags as plain integers: arithmetic with enum members takes ten times as long."""

from ..flags import CloneFlag

VM = CloneFlag.VM.value
FILES = CloneFlag.FILES.value
SIGHAND = CloneFlag.SIGHAND.value
PIDFD = CloneFlag.PIDFD.value
PTRACE = CloneFlag.PTRACE.value
VFORK = CloneFlag.VFORK.value
PARENT = CloneFlag.PARENT.value
THREAD = CloneFlag.THREAD.value
SETTLS = CloneFlag.SETTLS.value
PARENT_SETTID = CloneFlag.PARENT_SETTID.value
DETACHED = CloneFlag.DETACHED.value
NEWNS = CloneFlag.NEWNS.value
NEWCGROUP = CloneFlag.NEWCGROUP.value
NEWUTS = CloneFlag.NEWUTS.value
NEWIPC = CloneFlag.NEWIPC.value
NEWUSER = CloneFlag.NEWUSER.value
NEWPID = CloneFlag.NEWPID.value
NEWNET = CloneFlag.NEWNET.value
NEWTIME = CloneFlag.NEWTIME.value
CLEAR_SIGHAND = CloneFlag.CLEAR_SIGHAND.value
INTO_CGROUP = CloneFlag.INTO_CGROUP.value
AUTOREAP = CloneFlag.AUTOREAP.value
EMPTY_MNTNS = CloneFlag.EMPTY_MNTNS.value
# The library's own, above bit 63: the kernel never sees it.
STOPPED = CloneFlag.STOPPED.value

# The child's signal handlers are shared or reset; else they are a copy.
HANDLERS = SIGHAND | CLEAR_SIGHAND
# The kernel writes the tid to a word of the child's.
CHILD_WORD = CloneFlag.CHILD_SETTID.value | CloneFlag.CHILD_CLEARTID.value
# Each needs a word or an address, which only ramet.lowlevel takes.
LOW_LEVEL = PARENT_SETTID | CHILD_WORD | SETTLS
