"""Workers on many machines: actors of a Ray cluster.

One for each GPU, or one for each node with all of its processors. Ray places them, brings blocks to
them and rows back, and tells when one is gone; what was lost with it is the loop's business, as
with a process that dies (`features.driver`). Ray itself restarts and retries nothing. Nodes may
come and go. The project's code travels from here, so that all run the same; pictures and weights do
not: they lie at the same paths on every node.
"""

import collections
import contextlib
import os
import pkgutil
import sys
import time
from collections.abc import Hashable, Sequence

from features.cluster_address import connect, first_line
from features.errors import InputError, UsageError
from features.mending import Died
from features.plan import Block, Picture
from features.sources import readable
from features.worker_process import attempt
from features.workers import WORKER

# How often nodes are counted, and a wait comes back without an answer.
_SECONDS_BETWEEN_LOOKS = 5.0
_SECONDS_UNTIL_NOTE = 15.0
# A place whose worker dies so often before it is ready is given up; the others go on.
_STARTS = 2


class _Actor:
    """The worker's side."""

    def start(self, worker: str, recipe: object, folder: str) -> object:
        """Load the weights; returns None, or what went wrong."""
        with contextlib.suppress(OSError):
            os.chdir(folder)  # paths may be relative
        made = attempt(pkgutil.resolve_name(worker), recipe)
        if isinstance(made, Exception | Died):
            return made
        self._worker = made
        return None

    def embed(self, block: Block, ahead: Block | None) -> tuple[object, list[Picture]]:
        """Return the answer, and the pictures that failed and are not to be seen from here."""
        answer = attempt(self._worker.embed, block, ahead)
        if isinstance(answer, Exception | Died):
            return answer, []
        failed = {
            r.name for rows in answer.rows.values() for r in rows if isinstance(r.result, str)
        }
        failed -= set(block.refused)
        return answer, [p for p in block.pictures if p.name in failed and not readable(p.path)]


class _Place:
    """Where a worker can be: a GPU of a node, or a node; and the worker that is there."""

    def __init__(self, node: dict, share: dict[str, float]) -> None:
        self.node, self.address, self.share = node["NodeID"], node["NodeManagerAddress"], share
        self.actor = None
        self.ready = False
        self.failures = 0  # to start, in a row
        self.answers: collections.deque = collections.deque()  # what is to come, in order


class RayPool:
    """A pool of Ray actors.

    Parameters
    ----------
    address : `HOST:PORT` of the cluster's head, or `auto`; we are on one of its machines. A
        connection of Ray that is open already is used as it is
    recipe : what each worker is made of; a runtime on a GPU calls it "0": an actor sees its own
    gpus : one worker for each GPU, else one for each node

    Raises
    ------
    UsageError
        When the address is none.
    InputError
        When Ray is not installed, the cluster does not answer, is of another version, or has no
        node to work on.
    """

    def __init__(
        self, address: str, recipe: object, gpus: bool = False, worker: str = WORKER
    ) -> None:
        self._ray, self._connected = connect(address)
        self._recipe, self._gpus, self._name = recipe, gpus, worker
        self._places: dict[Hashable, _Place] = {}
        self._dropped: set[Hashable] = set()
        self._began = self._looked = time.monotonic()
        self._noted = False
        try:
            self._look()
            if not self._places:
                raise InputError(
                    f"the Ray cluster at {address} has no node with a "
                    f"{'GPU' if gpus else 'processor'} to work on: "
                    + ("leave out --gpu, or add one" if gpus else "add one with ray start")
                )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def workers(self) -> Sequence[Hashable]:
        """Return those that have their weights."""
        return [name for name, place in self._places.items() if place.ready]

    def coming(self) -> bool:
        """Tell whether any is still starting, or waits for its processors."""
        return any(not place.ready for place in self._places.values())

    def submit(self, worker: Hashable, block: Block, ahead: Block | None) -> None:
        """Queue a block at its actor."""
        place = self._places[worker]
        place.answers.append(place.actor.embed.remote(block, ahead))

    def wait(self) -> list[tuple[Hashable, object]]:
        """Wait for an answer, for some seconds at most; look for nodes that have come."""
        if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            self._look()
        # of each actor the first: answers come in order
        first = {place.answers[0]: name for name, place in self._places.items() if place.answers}
        if not first:
            return []
        ready, _ = self._ray.wait(list(first), timeout=_SECONDS_BETWEEN_LOOKS)
        answers = [(first[ref], self._answer(self._places[first[ref]], ref)) for ref in ready]
        return [(name, answer) for name, answer in answers if answer is not None]

    def restart(self, worker: Hashable) -> None:
        """Put a new actor in the place of a dead one, unless its node is gone or starts none."""
        place = self._places[worker]
        self._kill(place)
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if place.node in alive and place.failures < _STARTS:
            self._start(place)
            return
        del self._places[worker]
        self._dropped.add(worker)
        why = "workers do not start there" if place.node in alive else "it is gone"
        print(f"the node {place.address} is left out: {why}", file=sys.stderr)

    def close(self) -> None:
        """End all actors, and the connection if it is ours."""
        places, self._places = list(self._places.values()), {}
        for place in places:
            self._kill(place)
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def _answer(self, place: _Place, ref: object) -> object:
        """Return what an actor says; None when it only says that it is ready."""
        exceptions = self._ray.exceptions
        try:
            value = self._ray.get(ref)
        except exceptions.RayTaskError:  # our own part of it failed
            raise
        except exceptions.RuntimeEnvSetupError as error:
            return InputError(f"the node {place.address} cannot be set up: {first_line(error)}")
        except exceptions.RayError as error:
            return self._died(place, error)
        place.answers.popleft()
        if not place.ready:
            return self._started(place, value)
        answer, unseen = value
        for picture in unseen:
            if readable(picture.path):
                return InputError(
                    f"the node {place.address} does not see {picture.path}, which is here: "
                    "pictures must lie at the same paths on every node"
                )
        return answer

    def _started(self, place: _Place, failure: object) -> object:
        if failure is None:
            place.ready, place.failures = True, 0
        elif isinstance(failure, Died):
            return Died(f"{failure.reason} on the node {place.address}", started=False)
        elif isinstance(failure, InputError):
            kind = UsageError if isinstance(failure, UsageError) else InputError
            return kind(
                f"the node {place.address}: {failure} (weights must lie at the same paths on every "
                "node)"
            )
        return failure

    def _died(self, place: _Place, error: Exception) -> Died:
        started = place.ready
        place.ready = False
        place.failures += not started
        memory = isinstance(error, self._ray.exceptions.OutOfMemoryError)
        what = "out of memory " if memory or "memory monitor" in str(error) else ""
        return Died(f"{what}on the node {place.address}", started)

    def _look(self) -> None:
        """Find places that have no worker yet."""
        self._looked = time.monotonic()
        for node in self._ray.nodes():
            for index, share in enumerate(self._shares(node) if node["Alive"] else ()):
                name = f"{node['NodeID']} {index}"
                if name not in self._places and name not in self._dropped:
                    self._places[name] = place = _Place(node, share)
                    self._start(place)
        waited = self._looked - self._began > _SECONDS_UNTIL_NOTE
        if waited and not self._noted and not self.workers():
            print("waiting for the Ray cluster: is it busy? (ray status says)", file=sys.stderr)
            self._noted = True

    def _shares(self, node: dict) -> list[dict[str, float]]:
        """Return what each worker of a node gets of it."""
        cpus, gpus = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
        if self._gpus:
            return [{"num_cpus": cpus // gpus, "num_gpus": 1}] * gpus if gpus else []
        return [{"num_cpus": cpus}] if cpus else []

    def _start(self, place: _Place) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(place.node, soft=False)
        actor = self._ray.remote(_Actor).options(
            **place.share, scheduling_strategy=there, max_restarts=0, max_task_retries=0
        )
        place.actor, place.ready = actor.remote(), False
        place.answers.append(place.actor.start.remote(self._name, self._recipe, os.getcwd()))

    def _kill(self, place: _Place) -> None:
        place.answers.clear()
        with contextlib.suppress(Exception):  # it is dead, or Ray is
            self._ray.kill(place.actor)
