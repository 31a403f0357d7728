"""What exporters that send over a network share: a queue, retries, a breaker, and an orderly end."""

from airis.component.sending.config import QueueBatchConfig, SendingConfig, SendingQueueConfig
from airis.component.sending.destination import Attempt
from airis.component.sending.exporter import Sends
from airis.component.sending.sender import Sending
from airis.component.sending.snapshot import SendingSnapshot

__all__ = ["Attempt", "QueueBatchConfig", "Sending", "SendingConfig", "SendingQueueConfig", "SendingSnapshot", "Sends"]
