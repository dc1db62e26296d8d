"""How a template's process comes to be that is in a sandbox."""

import errno
import os
import pickle
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from ..._kernel import procfs
from ..._sandbox.amounts.amounts import NO_CORE, as_given, without_core
from ..._sandbox.description import is_below
from ..._sandbox.files.landlock import rules_of_writes
from ..._sandbox.files.landlock_rights import Rules
from ..._sandbox.of_python import OfTemplate, with_path
from ..._sandbox.overlay.layer import Layer
from ..._setup.conflicts import refuse_beside_sandbox
from ..._setup.rows import FUNCTION_OPTIONS, OPTIONS
from ..._setup.validate import validate
from ...errors import SandboxError, TemplateError
from ..crossing.caller_state import ConfinedState
from ..crossing.pickling import pickled
from ..crossing.template_messages import Confining, Loading
from .link import Link
from .starting import Fresh, Started, adopted, begun

_BESIDE_SANDBOX = frozenset(
    {"stdin", "stdout", "stderr", "umask", "nice", "cpu_affinity", "rlimits"}
)


class Confined:
    """A clone of a new interpreter, in a sandbox: that has loaded before it was confined."""

    def __init__(self, loading: Loading, options: Mapping[str, Any], sandbox: Any) -> None:
        for name in options.keys() - _BESIDE_SANDBOX:
            raise ValueError(f"invalid {name} with sandbox for a template: leave it out")
        given = validate(options, OPTIONS)
        self.confinement = OfTemplate(with_path(sandbox), given)
        if "rlimits" in given:
            options = {**options, "rlimits": as_given(without_core(given["rlimits"]))}
        self.trusted = False
        self._fresh = Fresh(
            *(loading._replace(by_value=True), options),
            environment=partial(_variables, self.confinement),
        )
        self._allow = loading.allow
        self._layers = self.confinement.layers
        self._names = frozenset(map(os.fsencode, sandbox.environment))

    @property
    def sandbox(self) -> "Confined":
        """Itself, which it does not refer to: what it keeps is let go of with the last reference."""
        return self

    def refuse_beside(self, asked: Mapping[str, Any]) -> None:
        """ValueError for what a call asks for and the sandbox decides. asked: see CallRequest."""
        options = asked.get("options") or {}
        given = {name: asked.get(name) for name in ("set_tid", "cgroup")}
        refuse_beside_sandbox({"flags": asked.get("flags") or None, **given, **options})
        limits = validate({"rlimits": options.get("rlimits")}, FUNCTION_OPTIONS).get("rlimits", {})
        if "CORE" in limits and limits["CORE"][1] > NO_CORE[0]:
            raise ValueError(
                f"invalid rlimits['CORE'] for a call in a sandbox: expected {NO_CORE[0]}, with which there "
                f"are no cores, got {options['rlimits']!r}; give it to the template"
            )

    def rules_of_writes(self, paths: Iterable[str | os.PathLike[str]]) -> Rules:
        """Those by which a call may write below these paths alone, each below one of the sandbox."""
        given = self.confinement.sandbox.replace(write=paths).write
        known = self.confinement.sandbox.write
        for path in given:
            if not any(is_below(path, one) for one in known):
                raise ValueError(
                    f"invalid write: expected paths below those of the sandbox, {list(known)}, got {path!r}"
                )
        if not self.confinement.plan.landlock_abi:
            raise SandboxError(
                *(
                    errno.EOPNOTSUPP,
                    "a call's own paths to write need Landlock, which is not there",
                ),
                wish="write",
                remedy="boot with lsm=landlock,..., or make a template for each",
            )
        for path in given:
            os.stat(path)  # one that is not there is refused here
        view, abi = self.confinement.ground.view, self.confinement.plan.landlock_abi
        return rules_of_writes(self.confinement.sandbox, view, abi, given)

    @property
    def has_layers(self) -> bool:
        """Whether each call has a layer, which takes what it writes."""
        return self._layers is not None

    def new_layer(self) -> Layer | None:
        """One for a call, if they have them. Raises SandboxError."""
        if self._layers is None:
            return None
        try:
            return self._layers.new_as_before()
        except OSError as error:
            raise SandboxError(
                error.errno or 0, f"a call cannot have its layer: {error}", wish="overlay"
            ) from error

    def close(self) -> None:
        """No call comes any more: the directory of the layers goes with the last of them."""
        self._layers = self.confinement.layers = None
        self.confinement.close()

    def _guard_layers(self, loaded: Link) -> None:
        """Have a clone of what is not confined yet remove them, should this process be killed."""
        if self._layers is not None and not self._layers.is_guarded:
            self._layers.guard(loaded.guard(self._layers.directory))

    def _without_threads(self, loaded: Started) -> Started:
        """Itself, or a clone: with several threads it cannot leave its namespaces. Source: setns(2)."""
        _, *others = procfs.threads(loaded.link.process.pid) or [""]
        if not others:
            return loaded
        nothing = pickled(Loading((), None, None, self._allow))
        try:
            made = loaded.link.derive(nothing)
        except OSError as error:
            raise TemplateError(f"the template cannot be confined: {error}") from error
        finally:
            loaded.link.close()
        return begun(adopted(made), made.channel, loaded.caller_state, (), self.trusted)

    def start(self) -> Started:
        self.confinement.make_current()
        loaded = self._without_threads(self._fresh.start())
        try:
            points = self.confinement.ground.points
            steps = self.confinement.steps(loaded.link.process.pid)
            self._guard_layers(loaded.link)
            made = loaded.link.confine(
                pickle.dumps(Confining(*steps[:-1], self._allow)), steps.descriptors
            )
        except SandboxError:  # of a path that the sandbox names, and that has changed since
            raise
        except OSError as error:
            raise TemplateError(f"the template cannot be confined: {error}") from error
        finally:
            loaded.link.close()
        state = ConfinedState(loaded.caller_state, self._names)
        process = adopted(made)
        return begun(
            *(process, made.channel, state, (), self.trusted, made.namespace),
            is_confined=True,
            points=points,
        )


def _variables(confinement: OfTemplate) -> dict[bytes, bytes]:
    """Those that are named, as the caller has them now."""
    return dict(word.split(b"=", 1) for word in confinement.environment())


def confined(loading: Loading, options: Mapping[str, Any], sandbox: object) -> "Confined":
    """A start in a sandbox, if it is one."""
    return Confined(loading, options, OPTIONS["sandbox"].kind.check("sandbox", sandbox))
