"""The three keys of an audit log, read from a folder of files.

`chain` (HMAC) links records, `query` (HMAC) hashes queries, `sign` (Ed25519) signs checkpoints.
The folder holds `active.json`, naming the keys in use, beside `chain-<id>.key`, `query-<id>.key`
(64 hex digits each), `sign-<id>.pem` and `sign-<id>.pub.pem`. Replaced keys stay, to verify and
find older records; deleting an old query key ends for good the linking of the hashes it made.

Three keys, because three parties need them: the writer chains with a secret, an operator who looks
for a query needs only the query key, and an auditor checks signatures without any secret.
"""

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from foliotrace_audit.chain import HmacSha256
from foliotrace_audit.errors import AuditKeyUnusable
from foliotrace_audit.files import write_synced

ACTIVE_FILE = "active.json"


def _key_id(prefix: str, public_or_secret: bytes) -> str:
    # Derived from the key, so that a key file that was exchanged or renamed is noticed when read.
    digest = hashlib.sha256(b"foliotrace-audit-key-id\0" + public_or_secret).hexdigest()
    return f"{prefix}-{digest[:12]}"


@dataclass(frozen=True, slots=True)
class MacKey:
    """A 32-byte secret and the id that records carry; the id is derived from the secret."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls, kind: str) -> "MacKey":
        """A fresh random key of `kind` `chain` or `query`."""
        secret = secrets.token_bytes(32)
        return cls(_key_id(kind, secret), secret)

    def hmac(self) -> HmacSha256:
        """The HMAC under this key."""
        return HmacSha256(self.secret)


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """An Ed25519 public key and its id."""

    id: str
    public: Ed25519PublicKey = field(repr=False)

    @classmethod
    def of(cls, public: Ed25519PublicKey) -> "VerifyKey":
        """The key with the id derived from its bytes."""
        return cls(_key_id("sign", public.public_bytes_raw()), public)

    def accepts(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` over `message` was made by the matching private key."""
        try:
            self.public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo PEM, as OpenSSL reads it."""
        return self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 private key with its public half."""

    verify: VerifyKey
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> "SigningKey":
        """A fresh key pair."""
        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> "SigningKey":
        """The pair of `private`."""
        return cls(VerifyKey.of(private.public_key()), private)

    @property
    def id(self) -> str:
        """Id of the pair."""
        return self.verify.id


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """The keys in use, and every key the folder still has (by id, the ones in use included).

    `dev_key` marks keys that the program generated because there were none: nobody chose or guards
    them, so nothing signed with them proves anything to others.
    """

    chain: MacKey
    query: MacKey
    sign: SigningKey
    dev_key: bool
    all_chain: Mapping[str, MacKey] = field(repr=False)
    all_query: Mapping[str, MacKey] = field(repr=False)

    @property
    def ids(self) -> tuple[str, str, str]:
        """Ids in use: chain, query, sign."""
        return self.chain.id, self.query.id, self.sign.id


def open_keys(folder: Path) -> AuditKeys:
    """The keys of `folder`; development keys are created there if it has none.

    Raises AuditKeyUnusable if `active.json` is there but a key it names is not usable.
    """
    if not (folder / ACTIVE_FILE).exists():
        # A service without configuration is audited too; `verify` says what such keys are worth.
        write_new_keys(folder, dev_key=True)
    return read_keys(folder)


def read_keys(folder: Path) -> AuditKeys:
    """The keys of `folder`.

    Raises AuditKeyUnusable if a key is missing or does not hold what its name says.
    """
    try:
        active = orjson.loads((folder / ACTIVE_FILE).read_bytes())
        all_chain = _read_mac_keys(folder, "chain")
        all_query = _read_mac_keys(folder, "query")
        private = _read_private(folder / f"{active['sign']}.pem")
        read_public_keys([folder])  # refuse a damaged one before it is handed to auditors
        return AuditKeys(
            chain=all_chain[active["chain"]],
            query=all_query[active["query"]],
            sign=SigningKey.of(private),
            dev_key=bool(active["dev_key"]),
            all_chain=all_chain,
            all_query=all_query,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuditKeyUnusable(f"cannot use the keys in {folder}: {_reason(error)}") from error


def write_new_keys(folder: Path, *, dev_key: bool) -> AuditKeys:
    """Make new keys the active ones of `folder`; earlier ones stay. Files are 0600, folder 0700.

    Two processes may do this at once: the last `active.json` to be renamed wins, and both sets of
    keys stay readable. Raises AuditKeyUnusable.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    chain, query, sign = MacKey.generate("chain"), MacKey.generate("query"), SigningKey.generate()
    for key in (chain, query):
        write_synced(folder / f"{key.id}.key", key.secret.hex().encode() + b"\n", exclusive=True)
    # Not encrypted: the service starts unattended, so a pass phrase would have to lie beside it.
    pem = sign.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_synced(folder / f"{sign.id}.pem", pem, exclusive=True)
    write_synced(folder / f"{sign.id}.pub.pem", sign.verify.pem(), exclusive=True)
    active = {"v": 1, "chain": chain.id, "query": query.id, "sign": sign.id, "dev_key": dev_key}
    # Last, and renamed into place: a crash before this leaves the old keys active, and no reader
    # ever sees half a file or the name of a key that is not there yet.
    staged = folder / f".{ACTIVE_FILE}.{secrets.token_hex(4)}"
    write_synced(staged, orjson.dumps(active, option=orjson.OPT_INDENT_2) + b"\n", exclusive=True)
    staged.replace(folder / ACTIVE_FILE)
    return read_keys(folder)


def read_public_keys(paths: Iterable[Path]) -> list[VerifyKey]:
    """The public keys in PEM files, and in every `*.pub.pem` of folders.

    Raises AuditKeyUnusable for a file that is not an Ed25519 public key.
    """
    keys = []
    for path in paths:
        for file in sorted(path.glob("*.pub.pem")) if path.is_dir() else [path]:
            try:
                public = serialization.load_pem_public_key(file.read_bytes())
            except (OSError, ValueError) as error:
                raise AuditKeyUnusable(f"cannot read {file}: {_reason(error)}") from error
            if not isinstance(public, Ed25519PublicKey):
                raise AuditKeyUnusable(f"{file} is not an Ed25519 public key")
            keys.append(VerifyKey.of(public))
    return keys


def read_chain_keys(folder: Path) -> dict[str, MacKey]:
    """Every chain key of `folder`, by id. Raises AuditKeyUnusable."""
    try:
        return _read_mac_keys(folder, "chain")
    except (OSError, ValueError) as error:
        raise AuditKeyUnusable(f"cannot use the keys in {folder}: {_reason(error)}") from error


def _read_mac_keys(folder: Path, kind: str) -> dict[str, MacKey]:
    keys = {}
    for file in sorted(folder.glob(f"{kind}-*.key")):
        secret = bytes.fromhex(file.read_text("ascii").strip())
        key = MacKey(_key_id(kind, secret), secret)
        if len(secret) != 32 or f"{key.id}.key" != file.name:
            raise ValueError(f"{file.name} does not hold the key its name says")
        keys[key.id] = key
    return keys


def _read_private(file: Path) -> Ed25519PrivateKey:
    private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError(f"{file.name} is not an Ed25519 private key")
    return private


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no key named {error}"
    if isinstance(error, OSError):
        return f"{error.strerror} ({Path(str(error.filename)).name})"
    return str(error)


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
