"""Keyed hashes of queries: equal ones of a tenant match, nobody without the key can guess."""

from foliotrace_audit.chain import HmacSha256
from foliotrace_audit.keys import MacKey
from foliotrace_audit.record import normalise_query


def query_hash(key: HmacSha256, tenant: str, text: str) -> str:
    """HMAC(HMAC(K, tenant), normalised text) as 64 hex digits, SHA-256 throughout.

    Per tenant, so that equal questions of two tenants do not match.
    """
    tenant_key = HmacSha256(key.digest(tenant.encode("utf-8", "surrogatepass")))
    return tenant_key.hex(normalise_query(text).encode("utf-8", "surrogatepass")).decode()


class QueryHasher:
    """Callable `(tenant, text) -> (key_id, query_hash)` under the query key in use.

    Safe to call from any thread while `use` swaps the key.
    """

    def __init__(self, key: MacKey) -> None:
        self._active = (key.id, key.hmac())

    def use(self, key: MacKey) -> None:
        """Hash with `key` from now on."""
        self._active = (key.id, key.hmac())

    def __call__(self, tenant: str, text: str) -> tuple[str, str]:
        """The id of the key used, and the hash."""
        key_id, key = self._active
        return key_id, query_hash(key, tenant, text)
