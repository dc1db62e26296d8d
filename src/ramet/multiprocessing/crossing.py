"""What a process is started with, as pickles: by name where there is one, by value (cloudpickle) else."""

import io
import pickle
from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .._kernel.signal_handlers import is_from_handler
from .._process.result_layout import in_words
from .._workers.crossing.by_value import by_value_pickler
from .clone_process import CloneProcess, like_its_contexts
from .main_program import HOW_TO_RUN_IT
from .private_parts import contexts, reduction

_PROTOCOL = 5
_OF_MAIN = b"__main__"
_HOW_TO_INSTALL = (
    "what has no name, and what a __main__ without a guard defines, is sent by cloudpickle: "
    "install ramet[workers]"
)

Parts = Sequence[Any]  # a pickle, and the buffers that lie outside of it


class Crossing:
    """Pickles for one new process.

    popen: its handle. descriptors: of that, those that objects in the pickles have, by their places.
    """

    def __init__(self, popen: Any, descriptors: list[int]) -> None:
        self._popen = popen
        self._descriptors = descriptors

    def plain(self, value: object) -> Parts:
        """By multiprocessing's own pickler."""
        return self._pickled(reduction.ForkingPickler, value)

    def with_definitions(self, value: object, definitions: dict[str, Any]) -> Parts:
        """Of (value, definitions, why others are missing): by name if there are none and all has a name.

        definitions: of a main program that does not run again; those that cannot be sent are missing.
        Raises what multiprocessing's pickler raises where cloudpickle cannot do more.
        """
        start = len(self._descriptors)
        parts, refused = self._by_name(value)
        if parts is not None and not definitions:
            return parts
        make = _by_value()
        if make is None:
            if parts is not None and _OF_MAIN not in parts[0]:
                return parts
            raise _without_cloudpickle(refused)
        del self._descriptors[start:]
        try:
            return self._pickled(make, (value, *self._sendable(make, definitions)))
        except Exception as error:
            if is_from_handler(error):
                raise
            if refused is not None:
                raise refused from None
            error.add_note(HOW_TO_RUN_IT)
            raise

    def _by_name(self, value: object) -> tuple[Parts | None, Exception | None]:
        try:
            return self.plain((value, {}, {})), None
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            return None, error

    def _sendable(
        self, make: Callable[..., Any], definitions: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Those of the definitions that can be pickled, and for the others why not."""
        if self._refusal(make, definitions) is None:
            return definitions, {}
        refusals = {name: self._refusal(make, value) for name, value in definitions.items()}
        missing = {name: in_words(error) for name, error in refusals.items() if error is not None}
        return {n: value for n, value in definitions.items() if n not in missing}, missing

    def _refusal(self, make: Callable[..., Any], value: object) -> Exception | None:
        start = len(self._descriptors)
        try:
            self._pickled(make, value)
        except Exception as error:
            if is_from_handler(error):
                raise
            return error
        finally:
            del self._descriptors[start:]
        return None

    def _pickled(self, make: Callable[..., Any], value: object) -> Parts:
        buffers: list[pickle.PickleBuffer] = []
        data = io.BytesIO()
        contexts.set_spawning_popen(self._popen)
        try:
            make(data, _PROTOCOL, True, buffers.append).dump(value)
        finally:
            contexts.set_spawning_popen(None)
        return data.getvalue(), *(buffer.raw() for buffer in buffers)


def _without_cloudpickle(refused: Exception | None) -> Exception:
    error = refused or pickle.PicklingError("it refers to what __main__ defines")
    error.add_note(_HOW_TO_INSTALL)
    return error


def _by_value() -> Callable[..., Any] | None:
    """A pickler by value that also knows what multiprocessing's knows; None without cloudpickle."""
    pickler = by_value_pickler()
    if pickler is None:
        return None

    known = reduction.ForkingPickler(io.BytesIO()).dispatch_table

    class ByValue(pickler):  # type: ignore[misc, valid-type]
        dispatch_table: ClassVar = ChainMap({}, known, pickler.dispatch_table)

        def __init__(self, file: Any, protocol: int, _: bool, buffer_callback: Any) -> None:
            super().__init__(file, protocol, buffer_callback)

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, type) and issubclass(value, CloneProcess):
                alike = like_its_contexts(value)
                if alike is not None:
                    return alike
            return super().reducer_override(value)

    return ByValue
