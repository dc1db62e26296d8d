"""A clone that a template has made, until a handle stands for it."""

import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..._core import CloneOwner
from ..._kernel.pidfd import pids_of
from ..._kernel.signal_handlers import is_from_handler
from ..._process.child import Child
from ..._process.tree import subreaper
from ..._process.tree.pid_namespace import PidNamespace
from ..._process.unreaped import Unreaped, unreaped
from ..._sandbox.files.replaced import ON_NOTHING, MountPoints
from ...errors import TemplateError
from ..crossing.messages import Channel, close_received
from .own_children import has_child, is_child, kill, reap

if TYPE_CHECKING:
    from ..._sandbox.overlay.layer import Layer


class Clone(CloneOwner):
    """A child that the template has made, with its pidfd and the socket of its calls, once it is there.

    Until ``holder``, a handle, stands for it, this object owns all three, and its end is the child's. The
    core fills it in (Channel.receive_clone), so that no handler of a signal can raise before it owns them.
    is_doubted: what it was told may be another process, which is not its to kill. is_confined: the pids
    that it was told are those of a namespace, and others here. has_own_numbers: those of here are in their
    place. layer: what takes its writes, if anything does. points: see Link.
    """

    holder: Child[Any] | None = None
    _namespace: PidNamespace | None = None
    layer: "Layer | None" = None
    points: MountPoints = ON_NOTHING

    @property
    def namespace(self) -> PidNamespace | None:
        """The pid namespace that it is in alone."""
        if self._namespace is None and self.init:
            self._namespace = PidNamespace(self.init, self.pidfd_of_init)
        return self._namespace

    def take_own_numbers(self) -> None:
        """In place of the pids that a confined template has told, which are those of its namespace."""
        if self.init:
            self.pid, self.init = pids_of(self.pidfd, self.pidfd_of_init)
        else:
            (self.pid,) = pids_of(self.pidfd)
        self.has_own_numbers = True

    def take(self) -> tuple[int, int, Channel]:
        """All three, for who owns them from here on."""
        self.owns = False
        return self.pid, self.pidfd, self.channel

    def require_own_child(self) -> None:
        """Raise TemplateError unless each pidfd is of the child of this process that has that pid.

        Of a confined one the pid is read from the pidfd, and needs no check.
        """
        told = [(self.pid, self.pidfd), *([(self.init, self.pidfd_of_init)] if self.init else [])]
        if all(
            has_child(pidfd) if self.is_confined else is_child(pid, pidfd) for pid, pidfd in told
        ):
            self.is_doubted = False
            return
        self.owns = False
        for _, pidfd in told:
            close_received(pidfd)
        self.channel.end()
        raise TemplateError("invalid answer of the template: expected children of this process")

    def discard(self) -> None:
        """End and reap it. It can be repeated where a signal handler has raised."""
        if self.has_own_numbers:
            self._kill()
            reap(self.pidfd)
            if self.namespace is not None:
                self.namespace.end()
            pidfds = [self.pidfd]
        else:
            pidfds = self._reaped_by_pidfds()
        closing = map(os.close, pidfds)
        self.owns = False  # no handler runs between this and the closes
        deque(closing, 0)
        self.layer = None

    def _reaped_by_pidfds(self) -> list[int]:
        """The pidfds of one whose pids are not known, when it has been killed and reaped."""
        pidfds = [one for one in (self.pidfd, self.pidfd_of_init) if one >= 0]
        for pidfd in pidfds:
            kill(pidfd)
        self.channel.end()
        for pidfd in pidfds:  # the init last: it waits for the clone
            reap(pidfd)
        return pidfds

    def drop(self) -> None:
        """At its end, if it owns the child: it is reaped later. Repeated where a signal handler raises."""
        if self.maker != os.getpid() or (self.holder is not None and self.holder.pid == self.pid):
            return
        if self.is_doubted:
            with suppress(TemplateError):
                self.require_own_child()
        if self.owns and not self.has_own_numbers:
            self.discard()
        elif self.owns:
            self._kill()
            if self.namespace is not None:
                self.namespace.leave()
            left = Unreaped(os.getpid(), self.pid, self.pidfd, None, None, is_thread=False)
            self.owns = False
            unreaped.append(left)  # no handler runs between the two

    def _kill(self) -> None:
        kill(self.pidfd)
        if self.namespace is not None:
            self.namespace.kill()
        self.channel.end()


def taken_over(clone: Clone) -> Clone | OSError:
    """It is this process's child, if it is to be believed; why not, where it cannot be looked at."""
    if clone.is_doubted:
        clone.require_own_child()
    if not clone.has_own_numbers:
        try:
            clone.take_own_numbers()
        except OSError as error:
            if is_from_handler(error):
                raise
            clone.discard()
            return error
    if not subreaper.blocks:
        return clone
    for made in (clone.pid, clone.init) if clone.init else (clone.pid,):
        subreaper.note(made)
    return clone
