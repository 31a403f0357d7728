"""Change attributes of resources: insert, update, delete, hash, extract, convert."""

from pydantic import Field

from airis.component import Config, Consumer, Processor, Telemetry, processor
from airis.component.attribute_actions import AttributeAction, AttributeProgram
from airis.data import Batch


class ResourceConfig(Config):
    """What is changed."""

    attributes: list[AttributeAction] = Field(min_length=1, description="What is done, in this order.")


@processor("resource", traces="beta", metrics="beta", logs="beta")
class ResourceProcessor(Processor[ResourceConfig]):
    """Change the attributes of resources.

    The actions are those of the `attributes` processor. Resources that no action changes pass as they are.
    """

    def __init__(self, config: ResourceConfig, downstream: Consumer, telemetry: Telemetry) -> None:
        super().__init__(config, downstream, telemetry)
        self._program = AttributeProgram(config.attributes, "resource")

    async def consume(self, batch: Batch) -> None:
        """Hand on the changed batch, or the very same where nothing is to be changed."""
        await self.downstream.consume(self._program.run(batch))
