"""What exporters that send over a network share: a queue, retries, a breaker, and an orderly end."""

from airis.component.sending.config import QueueBatchConfig, SendingConfig, SendingQueueConfig
from airis.component.sending.exporter import Sends
from airis.component.sending.sender import Attempt, Sending

__all__ = ["Attempt", "QueueBatchConfig", "Sending", "SendingConfig", "SendingQueueConfig", "Sends"]
