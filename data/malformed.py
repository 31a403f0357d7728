"""What a kernel raises when a payload cannot be read."""


class MalformedPayload(ValueError):
    """The bytes are not what their signal says: truncated, of a wrong wire type, nested too deeply.

    The message names the fault and, where it is known, the byte offset.
    """
