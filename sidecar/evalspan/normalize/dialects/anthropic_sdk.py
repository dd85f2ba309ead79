"""The Anthropic SDK's own spans: the conventions' keys, and its word for the finish reason.

The SDK sends them beside those of any instrumentor, so each call is there
twice; the name of the dialect tells which span is the SDK's.
"""

from evalspan.normalize._dialect import Dialect

DIALECT = Dialect(
    name="anthropic_sdk",
    rank=10,
    scopes=("com.anthropic.sdk.python",),
    columns={"anthropic.message.stop_reason": "finish_reasons"},
)
