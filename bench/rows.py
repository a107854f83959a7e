"""What is measured, by name: the same of ours and of its peers."""

from typing import Final

from bench.message_load import BATCH as _BATCH
from bench.message_load import PREFETCH

NOOP: Final = "no-op POST"
ENQUEUE: Final = "enqueue, one a request"
RECEIVE: Final = "receive + ack, one each"
BATCH: Final = f"enqueue, {_BATCH} a request"
BATCH_RECEIVE: Final = f"receive + ack, {_BATCH} at a time"
STREAM: Final = f"stream + ack, one each, {PREFETCH} in hand"
PASS: Final = "from POST to a waiting consumer"
