"""The rows of the tables that name the fields of the status."""

import re

from .build import ROOT


def rows(owner, kind):
    """Names of sapi-shim/status/status.def: owner POOL, WORKER or THREAD, kind COUNTER, GAUGE or LABEL."""
    text = (ROOT / "sapi-shim" / "status" / "status.def").read_text()
    return re.findall(rf'^{owner}\((\w+), [^,]+, {kind},', text, re.MULTILINE)


def endings():
    """Names of the causes in sapi-shim/exit_causes.def."""
    text = (ROOT / "sapi-shim" / "exit_causes.def").read_text()
    return re.findall(r'^EXIT_CAUSE\(\w+, "(\w+)"', text, re.MULTILINE)
