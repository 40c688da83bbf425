"""What ``arb audit`` prints."""

from __future__ import annotations

from pathlib import Path

from adapters.research.audit.audit import AuditResult, touches_in_words


def audit_lines(name: str, data: Path, result: AuditResult, *, sees_compiled_code: bool) -> tuple[list[str], bool]:
    """Everything that was found, line by line, and whether the strategy passes."""
    opened, notes = touches_in_words(name, result.touches)
    lines = [*map(str, result.findings), *opened, *notes]
    if not sees_compiled_code:
        lines.append("note: this system does not tell which files compiled code opens; only their bytes were counted")
    faults = [f"LEAKS at {result.leaking_cuts} of them"] if result.findings else []
    faults += ["it OPENS what no audit can change"] if opened else []
    lines.append(
        f"{name} on {data}: {result.cuts} random hours, {result.hours} h before each, {result.orders} orders: "
        f"{', '.join(faults) or 'nothing leaks'}"
    )
    return lines, not faults
