"""Projects, saved configurations, webhook configurations, attachments, presigned downloads."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from llama_cloud.pagination import SyncPaginatedCursor
from llama_cloud.types import (
    ConfigurationResponse,
    PresignedURL,
    Project,
    ProjectListResponse,
    V2ProjectGetResponse,
    V2ProjectListResponse,
    WebhookConfigListResponse,
    WebhookConfigResponse,
    configuration_create_params,
    configuration_delete_params,
    configuration_list_params,
    configuration_retrieve_params,
    configuration_update_params,
    project_get_params,
    project_list_params,
    v2_project_get_params,
    v2_project_list_params,
    webhook_config_create_params,
    webhook_config_delete_params,
    webhook_config_list_paginated_params,
    webhook_config_list_params,
    webhook_config_retrieve_params,
    webhook_config_update_params,
)
from llama_cloud.types.beta import (
    AttachmentListResponse,
    attachment_get_params,
    attachment_list_params,
)
from tests.fakes.llamacloud import content, layout
from tests.fakes.llamacloud.extract_api import checked_schema
from tests.fakes.llamacloud.jobs import now
from tests.fakes.llamacloud.parse_api import side_file
from tests.fakes.llamacloud.retrieval_api import attachment_names
from tests.fakes.llamacloud.routing import Call, endpoint
from tests.fakes.llamacloud.state import (
    ORGANIZATION,
    Configuration,
    Index,
    IndexedFile,
    Refused,
    WebhookConfig,
    iso,
    new_id,
    own,
    paged,
)

if TYPE_CHECKING:
    from tests.fakes.llamacloud.cloud import FakeLlamaCloud

CONFIGURATIONS = "/api/v1/beta/configurations"
WEBHOOKS = "/api/v1/beta/webhook-configs"
ATTACHMENTS = "/api/v1/beta/attachments"


def _project(call: Call, project_id: str) -> dict[str, Any]:
    default = project_id == call.cloud.projects[0]
    return {
        "id": project_id,
        "name": project_id.removeprefix("prj-"),
        "organization_id": ORGANIZATION,
        "is_default": default,
    }


def _known_project(call: Call) -> dict[str, Any]:
    asked = call.path["project_id"]
    if asked not in call.cloud.projects:
        raise Refused(404, f"Project {asked} not found")
    return _project(call, asked)


@endpoint(
    "GET",
    "/api/v1/projects",
    params=project_list_params.ProjectListParams,
    returns=ProjectListResponse,
)
async def list_projects(call: Call) -> Any:
    """All projects of the key."""
    wanted = call.one("project_name")
    found = [_project(call, project_id) for project_id in call.cloud.projects]
    return [project for project in found if wanted in (None, project["name"])]


@endpoint(
    "GET",
    "/api/v1/projects/{project_id}",
    params=project_get_params.ProjectGetParams,
    returns=Project,
)
async def get_project(call: Call) -> Any:
    """One project."""
    return _known_project(call)


@endpoint(
    "GET",
    "/api/v2/projects",
    params=v2_project_list_params.V2ProjectListParams,
    returns=SyncPaginatedCursor[V2ProjectListResponse],
)
async def list_projects_v2(call: Call) -> Any:
    """All projects, in pages."""
    wanted = call.one("name")
    found = [_project(call, project_id) for project_id in call.cloud.projects]
    found = [project for project in found if wanted in (None, project["name"])]
    items, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": items, "next_page_token": token}


@endpoint(
    "GET",
    "/api/v2/projects/{project_id}",
    params=v2_project_get_params.V2ProjectGetParams,
    returns=V2ProjectGetResponse,
)
async def get_project_v2(call: Call) -> Any:
    """One project."""
    return _known_project(call)


def _configuration_json(held: Configuration) -> dict[str, Any]:
    return {
        "id": held.id,
        "name": held.name,
        "parameters": held.parameters,
        "product_type": held.parameters["product_type"],
        "version": str(held.version),
        "created_at": iso(held.created_at),
        "updated_at": iso(held.updated_at),
    }


def _checked_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    if parameters["product_type"] == "extract_v2":
        checked_schema(parameters["data_schema"])
    return parameters


@endpoint(
    "POST",
    CONFIGURATIONS,
    params=configuration_create_params.ConfigurationCreateParams,
    takes="json",
    returns=ConfigurationResponse,
)
async def create_configuration(call: Call) -> Any:
    """Create, or update the one of that name and product."""
    parameters = _checked_parameters(call.body["parameters"])
    key = (call.project_id, call.body["name"], parameters["product_type"])
    for held in call.cloud.state.configurations.values():
        if (held.project_id, held.name, held.parameters["product_type"]) == key:
            return _configuration_json(_changed(held, call.body["name"], parameters))
    held = Configuration(new_id("cfg"), call.project_id, call.body["name"], parameters)
    call.cloud.state.configurations[held.id] = held
    return _configuration_json(held)


def _changed(held: Configuration, name: str, parameters: dict[str, Any]) -> Configuration:
    held.name, held.parameters = name, parameters
    held.version, held.updated_at = held.version + 1, now()
    return held


def _configuration(call: Call) -> Configuration:
    held: Configuration = own(
        call.cloud.state.configurations, call.path["config_id"], call.project_id, "Configuration"
    )
    return held


@endpoint(
    "GET",
    CONFIGURATIONS,
    params=configuration_list_params.ConfigurationListParams,
    returns=SyncPaginatedCursor[ConfigurationResponse],
)
async def list_configurations(call: Call) -> Any:
    """Saved configurations by name and product."""
    types = call.many.get("product_type")
    found = [
        held
        for held in call.cloud.state.configurations.values()
        if held.project_id == call.project_id
        and call.one("name") in (None, held.name)
        and (not types or held.parameters["product_type"] in types)
    ]
    items, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": [_configuration_json(held) for held in items], "next_page_token": token}


@endpoint(
    "GET",
    CONFIGURATIONS + "/{config_id}",
    params=configuration_retrieve_params.ConfigurationRetrieveParams,
    returns=ConfigurationResponse,
)
async def get_configuration(call: Call) -> Any:
    """One configuration."""
    return _configuration_json(_configuration(call))


@endpoint(
    "PUT",
    CONFIGURATIONS + "/{config_id}",
    params=configuration_update_params.ConfigurationUpdateParams,
    takes="json",
    returns=ConfigurationResponse,
)
async def update_configuration(call: Call) -> Any:
    """Change name or parameters."""
    held = _configuration(call)
    parameters = _checked_parameters(call.body.get("parameters") or held.parameters)
    return _configuration_json(_changed(held, call.body.get("name") or held.name, parameters))


@endpoint(
    "DELETE",
    CONFIGURATIONS + "/{config_id}",
    params=configuration_delete_params.ConfigurationDeleteParams,
)
async def delete_configuration(call: Call) -> None:
    """Delete a configuration."""
    del call.cloud.state.configurations[_configuration(call).id]


def _webhook_json(held: WebhookConfig) -> dict[str, Any]:
    shown = {k: v for k, v in held.settings.items() if k != "webhook_signing_secret"}
    return shown | {
        "id": held.id,
        "has_secret": bool(held.settings.get("webhook_signing_secret")),
        "tenant_id": held.project_id,
        "tenant_type": "project",
        "webhook_output_format": held.settings.get("webhook_output_format") or "string",
        "created_at": iso(held.created_at),
        "updated_at": iso(held.updated_at),
    }


def _webhook_settings(call: Call) -> dict[str, Any]:
    if call.body.get("webhook_events") == []:
        raise Refused(422, "webhook_events must not be empty")
    return dict(call.body)


def _webhook(call: Call) -> WebhookConfig:
    held: WebhookConfig = own(
        call.cloud.state.webhooks, call.path["config_id"], call.project_id, "Webhook configuration"
    )
    return held


def _project_webhooks(call: Call) -> list[WebhookConfig]:
    found = [w for w in call.cloud.state.webhooks.values() if w.project_id == call.project_id]
    return found[::-1]


@endpoint(
    "POST",
    WEBHOOKS,
    params=webhook_config_create_params.WebhookConfigCreateParams,
    takes="json",
    returns=WebhookConfigResponse,
)
async def create_webhook(call: Call) -> Any:
    """Save a webhook."""
    held = WebhookConfig(new_id("whc"), call.project_id, _webhook_settings(call))
    call.cloud.state.webhooks[held.id] = held
    return _webhook_json(held)


@endpoint(
    "GET",
    WEBHOOKS,
    params=webhook_config_list_params.WebhookConfigListParams,
    returns=WebhookConfigListResponse,
)
async def list_webhooks(call: Call) -> Any:
    """All saved webhooks, newest first."""
    return [_webhook_json(held) for held in _project_webhooks(call)]


@endpoint(
    "GET",
    "/api/v2/webhook-configs",
    params=webhook_config_list_paginated_params.WebhookConfigListPaginatedParams,
    returns=SyncPaginatedCursor[WebhookConfigResponse],
)
async def list_webhooks_paginated(call: Call) -> Any:
    """The same in pages. `total_size` is not in the SDK's page model and is not sent."""
    items, token = paged(_project_webhooks(call), call.number("page_size"), call.one("page_token"))
    return {"items": [_webhook_json(held) for held in items], "next_page_token": token}


@endpoint(
    "GET",
    WEBHOOKS + "/{config_id}",
    params=webhook_config_retrieve_params.WebhookConfigRetrieveParams,
    returns=WebhookConfigResponse,
)
async def get_webhook(call: Call) -> Any:
    """One saved webhook."""
    return _webhook_json(_webhook(call))


@endpoint(
    "PUT",
    WEBHOOKS + "/{config_id}",
    params=webhook_config_update_params.WebhookConfigUpdateParams,
    takes="json",
    returns=WebhookConfigResponse,
)
async def update_webhook(call: Call) -> Any:
    """Change what the request names."""
    held = _webhook(call)
    held.settings |= _webhook_settings(call)
    held.updated_at = now()
    return _webhook_json(held)


@endpoint(
    "DELETE",
    WEBHOOKS + "/{config_id}",
    params=webhook_config_delete_params.WebhookConfigDeleteParams,
)
async def delete_webhook(call: Call) -> None:
    """Delete a saved webhook."""
    del call.cloud.state.webhooks[_webhook(call).id]


def _attached(
    cloud: "FakeLlamaCloud", project_id: str, source_id: str
) -> tuple[Index, IndexedFile]:
    for index in cloud.state.indexes.values():
        for file in index.exported.values():
            ids = (file.id, file.entry.id, file.entry.file_id)
            if index.project_id == project_id and source_id in ids:
                return index, file
    raise Refused(404, f"No attachments of {source_id}")


def _attachment_names(index: Index, file: IndexedFile) -> list[str]:
    return [name for page in file.pages for _, name in attachment_names(index, page.number)]


async def _attachment(cloud: "FakeLlamaCloud", index: Index, file: IndexedFile, name: str) -> bytes:
    if name not in _attachment_names(index, file):
        raise Refused(404, f"No attachment is called {name}")
    number = int("".join(ch for ch in name.split(".")[0] if ch.isdigit()))
    if name.endswith(".json"):
        return json.dumps(layout.items_page(file.pages[number - 1])).encode()
    stored = cloud.state.file(file.entry.file_id, index.project_id)
    try:
        return await asyncio.to_thread(content.screenshot, stored.content, number)
    except content.Unreadable as error:
        raise Refused(404, "Only PDF pages have screenshots") from error


@endpoint(
    "GET",
    ATTACHMENTS,
    params=attachment_list_params.AttachmentListParams,
    returns=SyncPaginatedCursor[AttachmentListResponse],
)
async def list_attachments(call: Call) -> Any:
    """Screenshots and items that the index stored for a file."""
    index, file = _attached(call.cloud, call.project_id, call.one("source_id") or "")
    names, token = paged(
        _attachment_names(index, file), call.number("page_size"), call.one("page_token")
    )
    shown = [
        {"name": name, "size": len(await _attachment(call.cloud, index, file, name))}
        for name in names
    ]
    return {"items": shown, "next_page_token": token}


@endpoint(
    "GET",
    ATTACHMENTS + "/{attachment_name}",
    params=attachment_get_params.AttachmentGetParams,
    returns=PresignedURL,
)
async def get_attachment(call: Call) -> Any:
    """A URL that gives the attachment until it expires."""
    index, file = _attached(call.cloud, call.project_id, call.one("source_id") or "")
    name = call.path["attachment_name"]
    if name not in _attachment_names(index, file):
        raise Refused(404, f"No attachment is called {name}")
    what = f"attachments/{index.project_id}/{file.id}/{name}"
    return call.cloud.presign(call.base_url, what)


async def presigned_content(cloud: "FakeLlamaCloud", what: str) -> bytes:
    """What a presigned URL points to. Raises `Refused`."""
    kind, *rest = what.split("/")
    if kind == "files":
        stored = cloud.state.files.get(rest[0])
        if stored is None:
            raise Refused(404, "NoSuchKey")
        return stored.content
    if kind == "results":
        job = cloud.state.jobs.get(rest[0])
        if job is None:
            raise Refused(404, "NoSuchKey")
        return side_file(job, rest[1])
    project_id, source_id, name = rest
    index, file = _attached(cloud, project_id, source_id)
    return await _attachment(cloud, index, file, name)
