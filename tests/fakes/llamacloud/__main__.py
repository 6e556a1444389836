"""Start the fake by hand: `python -m tests.fakes.llamacloud --port 8900`."""

import argparse
import threading

from tests.fakes.llamacloud import Pace, running_fake_llamacloud


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A fake LlamaCloud for tests and demonstrations.")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--job-seconds", type=float, default=1.0, help="how long a job takes")
    arguments = parser.parse_args()
    pace = Pace(seconds=arguments.job_seconds)
    with running_fake_llamacloud(port=arguments.port, pace=pace) as fake:
        print(f"LLAMA_CLOUD_BASE_URL={fake.url} LLAMA_CLOUD_API_KEY={fake.api_key}", flush=True)
        print(f"control: {fake.url}/_fake/billing  /_fake/requests  /_fake/faults", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
