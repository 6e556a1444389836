"""A LlamaCloud on a socket, for the real SDK. See docs/reference/llamacloud-fake.md."""

from tests.fakes.llamacloud.cloud import FakeLlamaCloud, running_fake_llamacloud
from tests.fakes.llamacloud.jobs import Billing, Charge, Pace
from tests.fakes.llamacloud.webhooks import Delivery, sign
from tests.fakes.wire import Fault, RequestRecord

__all__ = [
    "Billing",
    "Charge",
    "Delivery",
    "FakeLlamaCloud",
    "Fault",
    "Pace",
    "RequestRecord",
    "running_fake_llamacloud",
    "sign",
]
