"""The one tree of errors. A user sees the message as a single line; a traceback means a defect of ours."""


class ArbError(Exception):
    """Base of every error that arb raises on purpose."""


class UserError(ArbError):
    """The request cannot be met as asked; the message says what to do. The command line exits with 2."""


class SettingsError(UserError):
    """A setting is unknown, of the wrong type or out of range; the message names it and its value."""


class DataError(UserError):
    """Input data is missing or wrong; the message names file, coin and hour as far as they are known."""

    def __init__(
        self, problem: str, *, file: str | None = None, coin: str | None = None, hour: str | None = None
    ) -> None:
        self.problem, self.file, self.coin, self.hour = problem, file, coin, hour
        place = ", ".join(part for part in (file, coin, hour) if part)
        super().__init__(f"{place}: {problem}" if place else problem)


class BundleError(UserError):
    """A deployed policy cannot be used: truncated, of another observation spec, or of another cost table."""


class NotFiniteError(BundleError, FloatingPointError):
    """A policy has no answer: it was shown, or its sums became, a number that is not finite or beyond any market."""


class CapacityError(ArbError):
    """A fixed buffer of the kernel was too small: a defect of the caller that sized it, never dropped silently."""
