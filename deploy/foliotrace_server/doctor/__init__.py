"""`foliotrace doctor`: checks the configuration and, with `--probe`, calls what is configured.

To add a check, write a function in the module of its subject (`sources`, `configuration`,
`documents`, `collector`, `probes`) and decorate it with `@check(...)` (nothing outside this machine
is called) or `@probe(...)` (one small call). They run in the order of `MODULES` and of declaration.
"""

from foliotrace_server.doctor.registry import CheckResult, examine, run_probes

__all__ = ["CheckResult", "examine", "run_probes"]
