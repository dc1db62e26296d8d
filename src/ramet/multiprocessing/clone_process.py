"""multiprocessing's Process, as a clone of a template."""

from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .clone_context import CloneContext
    from .popen import Popen


class CloneProcess(BaseProcess):
    """A process of a context: each context has a class of its own, as ``context.Process``."""

    _start_method = "ramet"
    _context: ClassVar["CloneContext"]

    @classmethod
    def _Popen(cls, process_obj: BaseProcess) -> "Popen":  # noqa: N802 - multiprocessing's
        return cls._context._start(process_obj)

    @staticmethod
    def _after_fork() -> None:
        """All that was the template's has been left before."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A context's own class has no name that it could be found by."""
        context = type(self)._context
        if type(self) is context.Process:
            return _new_process, (context,), vars(self)
        return super().__reduce_ex__(protocol)


def process_class(context: "CloneContext") -> type[CloneProcess]:
    """The class of the context's processes."""
    return type(
        "CloneProcess", (CloneProcess,), {"_context": context, "__doc__": CloneProcess.__doc__}
    )


def like_its_contexts(kind: type[CloneProcess]) -> tuple[Any, ...] | None:
    """How to pickle such a class; None for one that is derived from it."""
    context = getattr(kind, "_context", None)
    if context is None or kind is not context.Process:
        return None
    return getattr, (context, "Process")


def _new_process(context: "CloneContext") -> CloneProcess:
    return context.Process.__new__(context.Process)
