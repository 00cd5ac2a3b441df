"""The way pictures are embedded: by which engine, on which devices, in which precision."""

from dataclasses import dataclass

from features.runtime import BUDGET, Runtime, engines


@dataclass(frozen=True)
class Way:
    """How pictures are embedded: what decides the numbers' last digits, and how long it takes.

    Attributes
    ----------
    engine : of `features.runtime.ENGINES`; "auto" goes on with the one that an encoder is cached
        by, else takes OpenVINO on the CPU where it is installed
    gpus : CUDA devices, a worker each; none for the CPU
    precision, budget : see `features.runtime.Runtime`
    stored : type of the numbers in the cache, "float32" or "float16"
    cluster : address of a Ray cluster, whose machines do the work
    isolated : work in processes of their own, which a picture may kill without harm
    """

    engine: str = "torch"
    gpus: tuple[str, ...] = ()
    precision: str = "fp32"
    budget: float = BUDGET
    stored: str = "float32"
    cluster: str = ""
    isolated: bool = False

    def runtime(self, engine: str, gpu: str | None = None) -> Runtime:
        """Return the runtime with an engine, by default on the first device."""
        gpu = gpu if gpu is not None else next(iter(self.gpus), None)
        return Runtime(engine, gpu, self.precision, self.budget)

    def engines(self, liked: str = "") -> tuple[str, ...]:
        """Return the engines that may be taken, the best first.

        Parameters
        ----------
        liked : see `features.encoders.base.Encoder`
        """
        if self.engine != "auto":
            return (self.engine,)
        found = engines(bool(self.gpus))
        if self.precision != "fp32" or liked not in found:
            return found
        return (liked, *(engine for engine in found if engine != liked))
