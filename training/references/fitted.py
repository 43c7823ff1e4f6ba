"""A fitted potential as the reference of a database: exact entropies of its own Hessians."""

from pathlib import Path

from thiry_calc.calculator import ThiryCalculator


class Fitted(ThiryCalculator):
    """Calculator of a model file.

    Parameters
    ----------
    file : str or Path
        Of a potential with an energy and a crystal (`training.fit` adds that of bcc and fcc).

    Raises
    ------
    ValueError
        When the potential has no crystal.
    """

    def __init__(self, file: str | Path) -> None:
        super().__init__(file, extrapolation_warning=False)
        if self.potential.crystal is None:
            raise ValueError(
                f"{str(file)!r} has no crystal that defects could be counted from; databases are "
                "made of elements that are bcc or fcc"
            )

    @property
    def lattice_constant(self) -> float:
        """At zero pressure, Å."""
        assert self.potential.crystal is not None
        return self.potential.crystal.a0
