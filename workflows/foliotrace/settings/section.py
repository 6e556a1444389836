"""What every section of the settings shares."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the settings: frozen, and it refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
