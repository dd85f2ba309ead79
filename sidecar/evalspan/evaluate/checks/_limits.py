"""What the settings of checks can be: nothing that a check could never pass, or never fail."""

from typing import Annotated

from pydantic import Field

Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AtLeastOne = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Words = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
