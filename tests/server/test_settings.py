"""Settings: the first source wins, unknown names stop the start, secrets stay secret."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from foliotrace.errors import Misconfigured
from foliotrace.settings import (
    BudgetSettings,
    IngestSettings,
    PriceSettings,
    QuerySettings,
    ResilienceSettings,
)
from foliotrace_server.sections import LLMSettings
from foliotrace_server.settings import Settings, known_names, load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLIOTRACE_SECRETS_DIR", str(tmp_path / "secrets"))
    return tmp_path


def test_every_source_counts_and_the_first_wins(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "foliotrace.toml").write_text(
        "[server]\nport = 1\nmax_body_bytes = 11\nmax_event_streams = 21\n[query]\ndeadline_s = 9\n"
    )
    (empty_folder / "secrets").mkdir()
    (empty_folder / "secrets" / "FOLIOTRACE_SERVER__MAX_EVENT_STREAMS").write_text("22")
    (empty_folder / ".env").write_text("FOLIOTRACE_SERVER__PORT=2\nOTHER=1\n")
    monkeypatch.setenv("FOLIOTRACE_SERVER__PORT", "3")
    server = load_settings().server
    assert (server.port, server.max_body_bytes, server.max_event_streams) == (3, 11, 22)
    monkeypatch.delenv("FOLIOTRACE_SERVER__PORT")
    assert load_settings().server.port == 2
    assert load_settings(data_dir=Path("x")).data_dir == Path("x")
    assert load_settings().query.deadline_s == 9


@pytest.mark.parametrize("place", ["environment", "dotenv", "secrets"])
def test_an_unknown_name_is_refused_with_the_nearest(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    wrong = "FOLIOTRACE_SERVER__PROT"
    if place == "environment":
        monkeypatch.setenv(wrong, "1")
    elif place == "dotenv":
        (empty_folder / ".env").write_text(f"{wrong}=1\n")
    else:
        (empty_folder / "secrets").mkdir()
        (empty_folder / "secrets" / wrong).write_text("1")
    with pytest.raises(Misconfigured, match="did you mean FOLIOTRACE_SERVER__PORT"):
        load_settings()


def test_an_unknown_name_in_the_file_is_refused(empty_folder: Path) -> None:
    (empty_folder / "foliotrace.toml").write_text("[server]\nprot = 1\n")
    with pytest.raises(Misconfigured, match=r"server\.prot"):
        load_settings()


def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIOTRACE_SERVER__PORT", "canary")
    with pytest.raises(Misconfigured) as refused:
        load_settings()
    assert "server.port" in refused.value.message
    assert "canary" not in refused.value.message


def test_a_standard_key_is_taken_and_switches_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    settings = load_settings()
    assert settings.llm is None
    assert settings.openai_api_key is not None
    assert "sk-canary" not in repr(settings)


def test_a_settings_file_that_was_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIOTRACE_CONFIG", "none.toml")
    with pytest.raises(Misconfigured, match=r"none\.toml"):
        load_settings()


def test_own_workflows_and_models_are_named_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOLIOTRACE_WORKFLOWS__greet", "pkg:flow")
    monkeypatch.setenv("FOLIOTRACE_LLM__PROVIDER", "ollama")
    monkeypatch.setenv("FOLIOTRACE_LLM__MODEL", "m")
    monkeypatch.setenv("FOLIOTRACE_LLM_FALLBACKS", '[{"provider": "openai", "model": "n"}]')
    settings = load_settings()
    assert settings.workflows == {"greet": "pkg:flow"}
    assert settings.llm is not None
    assert [each.model for each in settings.llm_fallbacks] == ["n"]
    assert "FOLIOTRACE_LLM__API_KEY" in known_names()


def test_every_default_of_a_journey_is_the_default_of_the_service(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.query == QuerySettings()
    assert settings.ingest == IngestSettings()
    assert settings.budget == BudgetSettings()
    assert settings.resilience == ResilienceSettings()
    assert settings.query.deadline_s == 30
    assert settings.query.cache_ttl_s == 300
    assert settings.query.max_answer_tokens == 512
    assert settings.ingest.max_file_bytes == 256 * 1024 * 1024


def test_keys_of_providers_keep_their_standard_names(monkeypatch: pytest.MonkeyPatch) -> None:
    standard = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "LLAMA_CLOUD_API_KEY"}
    assert standard <= set(known_names())
    monkeypatch.setenv("FOLIOTRACE_LLM__API_KEZ", "1")
    with pytest.raises(Misconfigured, match="did you mean"):
        load_settings()


@pytest.mark.parametrize(
    ("provider", "api_base", "free"),
    [
        ("openai_like", "http://127.0.0.1:8000/v1", True),
        ("openai_like", "http://localhost:1234/v1", True),
        ("openai_like", "http://10.1.2.3:8000/v1", True),
        ("openai_like", "http://192.168.0.7/v1", True),
        ("openai_like", "http://172.31.0.1/v1", True),
        ("openai_like", "http://[::1]:8000/v1", True),
        ("openai_like", "http://172.32.0.1/v1", False),
        ("openai_like", "https://api.example.com/v1", False),
        ("openai_like", "https://10.example.com/v1", False),
        ("ollama", None, True),
        ("ollama", "https://ollama.example.com", False),
        ("openai", "http://127.0.0.1:8000/v1", False),
    ],
)
def test_a_model_on_a_private_address_costs_nothing(
    provider: Literal["openai", "openai_like", "ollama"], api_base: str | None, free: bool
) -> None:
    llm = LLMSettings(provider=provider, model="llama3.2", api_base=api_base)
    assert Settings(llm=llm).costs_nothing(llm) is free


def test_a_price_or_free_false_makes_a_model_on_a_private_address_cost_again() -> None:
    llm = LLMSettings(provider="ollama", model="llama3.2")
    price = PriceSettings(input_usd_per_million=Decimal(1), output_usd_per_million=Decimal(1))
    assert not Settings(budget=BudgetSettings(prices={"llama3.2": price})).costs_nothing(llm)
    assert not Settings().costs_nothing(llm.model_copy(update={"free": False}))
