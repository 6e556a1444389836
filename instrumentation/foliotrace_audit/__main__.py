"""`python -m foliotrace_audit verify ...`: the commands without the service."""

from foliotrace_audit.cli import audit

if __name__ == "__main__":
    audit(prog_name="python -m foliotrace_audit")
