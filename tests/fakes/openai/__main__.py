"""Start the fake by hand: `python -m tests.fakes.openai --port 8901`."""

import argparse
import threading

from tests.fakes.openai import running_fake_openai


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A fake LLM in OpenAI's format.")
    parser.add_argument("--port", type=int, default=8901)
    arguments = parser.parse_args()
    with running_fake_openai(port=arguments.port) as fake:
        print(f"OPENAI_BASE_URL={fake.url} OPENAI_API_KEY={fake.api_key}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
