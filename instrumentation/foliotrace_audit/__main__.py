"""`python -m foliotrace_audit verify ...`: the commands without the service."""

from foliotrace_audit.commands import audit

if __name__ == "__main__":
    audit(prog_name="python -m foliotrace_audit")
