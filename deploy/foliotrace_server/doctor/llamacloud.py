"""Probe of LlamaCloud: host, key, project and version, by calls that cost nothing."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from foliotrace.errors import Misconfigured
from foliotrace.model import ExecutionMode
from foliotrace_server.doctor.model_servers import proxy_for
from foliotrace_server.doctor.registry import Call, Warned, probe
from foliotrace_server.external.services import cloud_access
from foliotrace_server.settings import Settings

if TYPE_CHECKING:
    from llama_cloud import AsyncLlamaCloud
    from llama_cloud.types import Project

    from foliotrace.adapters.llamacloud.client import CloudFailure

_LISTED: Final = 5
_LOCAL: Final = "switch the capability to local"


@probe(checks="LlamaCloud accepts the key, and has the project and the version of the settings")
async def _llamacloud(settings: Settings) -> AsyncIterator[Call]:
    if not settings.llamacloud.in_use:
        return

    async def ask() -> str:
        return await _answers(settings)

    yield "llamacloud", ask


async def _answers(settings: Settings) -> str:
    from foliotrace.adapters.llamacloud.client import CloudFailure, connect, translated_errors

    try:
        async with connect(cloud_access(settings)) as client:
            with translated_errors("list projects"):
                projects = await client.projects.list()
            _check_project(settings, projects)
            return await _with_version(settings, client)
    except CloudFailure as failure:
        raise _named(settings, failure) from failure


def _check_project(settings: Settings, projects: "Sequence[Project]") -> None:
    """Raises Misconfigured where the key cannot reach the configured project."""
    cloud = settings.llamacloud
    wrong = cloud.project_id is not None and cloud.project_id not in {p.id for p in projects}
    name, allowed = "project_id", [f"{p.id} ({p.name})" for p in projects]
    if not wrong and cloud.organization_id is not None:
        within = [p for p in projects if cloud.project_id in (None, p.id)]
        name, allowed = "organization_id", list({p.organization_id: "" for p in within})
        wrong = cloud.organization_id not in allowed
    if wrong:
        some = ", ".join(allowed[:_LISTED]) or "none"
        raise Misconfigured(
            f"llamacloud.{name} is not one that the key can use",
            hint=f"Set llamacloud.{name} to one of: {some}; or remove it to use the key's own.",
        )


async def _with_version(settings: Settings, client: "AsyncLlamaCloud") -> str:
    """Check the version of LlamaParse, if one is set. Raises Misconfigured, CloudFailure."""
    from foliotrace.adapters.llamacloud.client import translated_errors

    cloud = settings.llamacloud
    if cloud.parse_version in (None, "latest") or cloud.parsing is ExecutionMode.LOCAL:
        return "answers"
    with translated_errors("list the versions of LlamaParse"):
        versions = await client.parsing.list_versions()
    offered = list(getattr(versions, cloud.parse_tier))
    if cloud.parse_version not in offered:
        newest = ", ".join(sorted(offered, reverse=True)[:_LISTED])
        raise Misconfigured(
            f"tier {cloud.parse_tier} of LlamaParse has no version {cloud.parse_version}",
            hint=f"Set llamacloud.parse_version to one of: {newest}; or remove it.",
        )
    return "answers"


def _named(settings: Settings, failure: "CloudFailure") -> Misconfigured | Warned:
    """What the failure of the call means, and what mends it."""
    from foliotrace.adapters.llamacloud.client import CloudProblem, base_url

    url = base_url(settings.llamacloud.where)
    host, status = urlsplit(url).hostname, failure.message.rpartition(" ")[2]
    problem = failure.problem
    if problem is CloudProblem.UNAUTHORIZED:
        return Misconfigured(
            f"{host} does not accept the key: status {status}",
            hint="Make a new key in its console (this one is wrong, expired or revoked), set"
            f" llamacloud.where to the region of the key (eu or us), or {_LOCAL}.",
        )
    if problem is CloudProblem.OUT_OF_CREDITS:
        return Misconfigured(
            f"{host} has no credits left for this key", hint=f"Buy credits, or {_LOCAL}."
        )
    if problem in (CloudProblem.UNREACHABLE, CloudProblem.TIMEOUT):
        return _unreachable(url, host or "", failure)
    if problem is CloudProblem.RATE_LIMITED:
        wait = f" {failure.retry_after_s:.0f} s" if failure.retry_after_s else " a minute"
        return Warned(
            f"{host} refuses requests beyond its rate: status {status}",
            hint=f"Wait{wait} and repeat; other programs with this key count, too.",
        )
    if problem is CloudProblem.SERVER_ERROR:
        said, hint = f"{host} fails by itself: status {status}", "Wait until LlamaCloud works again"
        cloud = settings.llamacloud
        if ExecutionMode.CLOUD in (cloud.parsing, cloud.extraction, cloud.index):
            return Misconfigured(said, hint=f"{hint}, or set cloud_then_local instead of cloud.")
        return Warned(said, hint=f"{hint}; local parts answer meanwhile.")
    path = urlsplit(url).path
    what = f"status {status}" if status.isdigit() else "a page of another kind"
    hint = "Set llamacloud.where to eu, us, or the base URL of LlamaCloud's API"
    hint += f", without {path}." if path else "."
    return Misconfigured(f"{host} answers, but not as LlamaCloud does: {what}", hint=hint)


def _unreachable(url: str, host: str, failure: "CloudFailure") -> Misconfigured:
    """Why there was no connection: a proxy, TLS, the name, or nothing that listens."""
    cause = failure.__cause__ and failure.__cause__.__cause__
    why = str(cause) if cause is not None else ""
    said = f"{host} cannot be reached"
    if proxy := proxy_for(url):
        hint = f"Calls go through {proxy}: correct the proxy, or add {host} to NO_PROXY."
        return Misconfigured(said, hint=f"{hint} The key was not looked at.")
    if "WRONG_VERSION_NUMBER" in why or "record layer failure" in why:
        said = f"{host} speaks plain text, llamacloud.where says https"
        return Misconfigured(said, hint="Write http:// in llamacloud.where.")
    if "CERTIFICATE_VERIFY_FAILED" in why:
        said = f"the certificate of {host} is not trusted"
        hint = "Set SSL_CERT_FILE to the certificate authority's file, and check the clock."
        return Misconfigured(said, hint=hint)
    if "Name or service not known" in why or "name resolution" in why:
        said += ": its name is not known here"
    elif "refused" in why:
        said += ": nothing listens there"
    hint = "Check network, proxy and llamacloud.where; the key was not looked at."
    return Misconfigured(said, hint=hint)
