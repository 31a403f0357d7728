"""Change attributes of spans, log records and data points: insert, update, delete, hash, extract, convert."""

from pydantic import Field

from airis.component import Consumer, Permanent, Processor, Telemetry, processor
from airis.component.attribute_actions import AttributeAction, AttributeProgram
from airis.component.item_matching import FIELDS, MatchConfig
from airis.data import Batch


class AttributesConfig(MatchConfig):
    """What is changed, and of which items."""

    actions: list[AttributeAction] = Field(min_length=1, description="What is done, in this order.")


@processor("attributes", traces="beta", metrics="beta", logs="beta")
class AttributesProcessor(Processor[AttributesConfig]):
    """Change the attributes of spans, log records and data points.

    Items that `include` and `exclude` leave out pass as they are, and so does everything that no action changes. All
    that these two name must match; of several services, names, kinds, bodies, texts or libraries one is enough, while
    of attributes and resources all must be there, as in the Collector.
    """

    def __init__(self, config: AttributesConfig, downstream: Consumer, telemetry: Telemetry) -> None:
        super().__init__(config, downstream, telemetry)
        self._program = AttributeProgram(config.actions, "item")
        self._predicates = {signal: config.predicate(signal) for signal in FIELDS if not config.refusal(signal)}

    async def consume(self, batch: Batch) -> None:
        """Hand on the changed batch, or the very same where nothing is to be changed."""
        await self.downstream.consume(self._changed(batch))

    def _changed(self, batch: Batch) -> Batch:
        if batch.signal not in self._predicates:
            raise Permanent(self.config.refusal(batch.signal))
        predicate = self._predicates[batch.signal]
        return self._program.run(batch, predicate.mask(batch.view()) if predicate else None)
