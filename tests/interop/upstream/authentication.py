"""The key check of the litellm proxy in this test: one key, 401 for every other."""

import os

from litellm.proxy._types import ProxyException, UserAPIKeyAuth


async def check(_request, api_key: str) -> UserAPIKeyAuth:
    """Called by litellm for each request, with the bearer token."""
    if api_key != os.environ["LITELLM_MASTER_KEY"]:
        raise ProxyException(message="this key is not known", type="auth_error", param="api_key", code=401)
    return UserAPIKeyAuth(api_key=api_key)
