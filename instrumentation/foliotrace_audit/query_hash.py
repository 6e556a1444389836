"""Keyed hashes of queries: equal queries of one tenant match, and nobody without the key can guess.

A plain SHA-256 would not do: questions are short and predictable, so anyone who reads the log could
hash a list of likely ones and compare.
"""

import unicodedata

from foliotrace_audit.chain import HmacSha256
from foliotrace_audit.keys import MacKey

_CACHED_TENANTS = 1024


def normalise_query(text: str) -> str:
    """NFC, without surrounding white space; case is kept. Equal questions get equal hashes."""
    return unicodedata.normalize("NFC", text).strip()


def tenant_key(key: MacKey, tenant: str) -> HmacSha256:
    """The key of one tenant, HMAC(key, tenant): equal questions of two tenants do not match."""
    return HmacSha256(key.hmac().digest(tenant.encode("utf-8", "surrogatepass")))


def query_hash(key: HmacSha256, text: str) -> str:
    """HMAC-SHA256 of the normalised text under a tenant's key, as 64 hex digits."""
    return key.hex(normalise_query(text).encode("utf-8", "surrogatepass")).decode()


class QueryHasher:
    """Callable `(tenant, text) -> (key_id, query_hash)` under the query key in use.

    Safe to call from any thread while `use` replaces the key.
    """

    def __init__(self, key: MacKey) -> None:
        self.use(key)

    def use(self, key: MacKey) -> None:
        """Hash with `key` from now on."""
        # One attribute, replaced at once: a reader in another thread never sees the new key's id
        # with the old key's tenants.
        self._active: tuple[MacKey, dict[str, HmacSha256]] = (key, {})

    def __call__(self, tenant: str, text: str) -> tuple[str, str]:
        """The id of the key used, and the hash."""
        key, tenant_keys = self._active
        cached = tenant_keys.get(tenant)
        if cached is None:
            if len(tenant_keys) >= _CACHED_TENANTS:
                tenant_keys.clear()
            cached = tenant_keys[tenant] = tenant_key(key, tenant)
        return key.id, query_hash(cached, text)
