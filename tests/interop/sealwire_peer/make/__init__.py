"""Makes vector files from fixed inputs: they come out the same each time."""

from ..sealing import HYBRID_SUITE, P256_SUITE
from ..vectors import Vector
from .case import Case
from .exchanges import exchanges
from .key_sets import key_sets
from .packets import packets
from .requests import Requests
from .responses import Responses


def all_vectors() -> list[Vector]:
    p256, hybrid = Case(P256_SUITE), Case(HYBRID_SUITE)
    return [
        *exchanges(),
        *Requests(p256).all(),
        *Requests(hybrid, "request-hybrid-").hybrid(),
        *Responses(p256).all(),
        *Responses(hybrid, "response-hybrid-").hybrid(),
        *key_sets(),
        *packets(),
    ]
