"""P5, CSIGNAL: the low byte is the signal that the child's end sends to its parent."""

import signal

import ramet

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
ramet.clone(int).wait()  # SIGCHLD
print(signal.sigtimedwait({signal.SIGUSR2}, 0))  # None
child = ramet.clone(int, flags=signal.SIGUSR2)
child.wait()
told = signal.sigtimedwait({signal.SIGUSR2}, 0)
print(told is not None and told.si_pid == child.pid)  # True
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})  # at a prompt, as it was
