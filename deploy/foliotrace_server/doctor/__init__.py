"""`foliotrace doctor`: checks the configuration and, with `--probe`, calls what is configured.

To add a check, write a function in `configuration` (nothing is called) or `probes` (one small call)
and decorate it with `@check(...)` or `@probe(...)`. Checks run in the order of their declaration.
"""

from foliotrace_server.doctor.registry import CheckResult, examine, run_probes

__all__ = ["CheckResult", "examine", "run_probes"]
