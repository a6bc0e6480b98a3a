"""``tidegate check``: everything that is wrong in the metadata, in one run."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from tidegate.cli.failure import MISUSED
from tidegate.cli.options import add_metadata, add_output, add_path, variables_of
from tidegate.cli.terminal import styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.metadata import Finding
    from tidegate.metadata.finding import Severity

USAGE = "[PATH] [OPTIONS]"
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    add_metadata(parser)
    add_output(parser)
    parser.set_defaults(execute=_check)


def _check(options: Namespace) -> int:
    from tidegate.metadata import check

    findings = check(options.path, profile=options.profile, variables=variables_of(options.var))
    counts = Counter(finding.severity for finding in findings)
    if options.output == "json":
        tell_json(
            {
                "findings": [{**asdict(finding), "where": finding.where._asdict()} for finding in findings],
                **{f"{severity}s": counts[severity] for severity in ("error", "warning", "note")},
            }
        )
    else:
        for finding in findings:
            tell(_text(finding))
        tell(_summary(counts))
    return MISUSED if counts["error"] else 0


def _text(finding: Finding) -> str:
    severity = styled(finding.severity, _STYLES[finding.severity])
    text = f"{styled(str(finding.where), 'bold')}: {severity} {finding.code} {finding.message}"
    return f"{text}\n  {styled('hint:', 'cyan')} {finding.hint}" if finding.hint else text


def _summary(counts: Counter[Severity]) -> str:
    if not counts.total():
        return styled("No findings: the metadata hold.", "green")
    severities: tuple[Severity, ...] = ("error", "warning", "note")
    parts = [
        styled(f"{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}", _STYLES[severity])
        for severity in severities
        if counts[severity]
    ]
    verdict = "" if counts["error"] else ": nothing that keeps flows from running"
    return f"\n{', '.join(parts)}{verdict}"
