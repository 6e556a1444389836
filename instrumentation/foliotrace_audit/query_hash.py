"""Keyed hashes of queries: equal ones of a tenant match, nobody without the key can guess."""

from foliotrace_audit.chain import HmacSha256
from foliotrace_audit.keys import MacKey
from foliotrace_audit.record import normalise_query

_REMEMBERED_TENANTS = 1024


def tenant_key(key: MacKey, tenant: str) -> HmacSha256:
    """The key of one tenant, HMAC(K, tenant): equal questions of two tenants do not match."""
    return HmacSha256(key.hmac().digest(tenant.encode("utf-8", "surrogatepass")))


def query_hash(key: HmacSha256, text: str) -> str:
    """HMAC-SHA256 of the normalised text under a tenant's key, as 64 hex digits."""
    return key.hex(normalise_query(text).encode("utf-8", "surrogatepass")).decode()


class QueryHasher:
    """Callable `(tenant, text) -> (key_id, query_hash)` under the query key in use.

    Safe to call from any thread while `use` swaps the key.
    """

    def __init__(self, key: MacKey) -> None:
        self.use(key)

    def use(self, key: MacKey) -> None:
        """Hash with `key` from now on."""
        remembered: dict[str, HmacSha256] = {}
        self._active = (key, remembered)

    def __call__(self, tenant: str, text: str) -> tuple[str, str]:
        """The id of the key used, and the hash."""
        key, remembered = self._active
        tenants_key = remembered.get(tenant)
        if tenants_key is None:
            if len(remembered) >= _REMEMBERED_TENANTS:
                remembered.clear()
            tenants_key = remembered[tenant] = tenant_key(key, tenant)
        return key.id, query_hash(tenants_key, text)
