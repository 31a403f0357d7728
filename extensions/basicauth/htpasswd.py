"""Passwords as Apache's htpasswd keeps them: bcrypt, {SHA}, {SSHA}, $apr1$ and $1$ (MD5), or plain text."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5, sha1
from hmac import compare_digest

import bcrypt

MOST_COST = 16
"""bcrypt takes 2**cost rounds: with 16 about four seconds for a password that is not known yet."""
MAX_PASSWORD_BYTES = 1024

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_BYTES = 72
"""What bcrypt looks at of a password; Apache and Go leave out the rest in silence."""
_MD5 = re.compile(r"\$(apr1|1)\$([^$]{0,8})\$([./A-Za-z0-9]{22})")
_OTHER = re.compile(r"\$[A-Za-z0-9_-]+\$|\{[A-Za-z0-9-]+\}")
_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHA1_BYTES = 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A password as it is kept."""

    text: str
    is_slow: bool
    """Whether to look at one takes long enough to do so in a thread."""
    is_weak: bool
    """Whether whoever reads the file soon knows the password."""

    def fits(self, password: bytes) -> bool:
        """Whether it is this one; it takes as long if it is not."""
        if len(password) > MAX_PASSWORD_BYTES:
            return False
        if _BCRYPT.fullmatch(self.text):
            try:
                return bcrypt.checkpw(password[:_BCRYPT_BYTES], self.text.encode())
            except ValueError:  # a password that no bcrypt takes
                return False
        if found := _MD5.fullmatch(self.text):
            return compare_digest(md5_crypt(password, found[2].encode(), found[1]), found[3])
        if self.text.startswith(("{SHA}", "{SSHA}")):
            raw = _from_base64(self.text)
            return compare_digest(sha1(password + raw[_SHA1_BYTES:], usedforsecurity=False).digest(), raw[:_SHA1_BYTES])
        return compare_digest(password, self.text.encode())


def read(text: str) -> Mapping[str, Stored]:
    """The users of a file with their passwords; of two lines for a user the last counts.

    Raises ValueError, which repeats nothing of the text but the number of the line.
    """
    found: dict[str, Stored] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        user, colon, password = line.partition(":")
        if not colon or not user:
            raise ValueError(f'line {number} is not "user:password"')
        try:
            found[user] = _stored(password)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return found


def _stored(text: str) -> Stored:
    if text.startswith(("$2a$", "$2b$", "$2y$")):
        bcrypted = _BCRYPT.fullmatch(text)
        if bcrypted is None:
            raise ValueError("not a whole hash of bcrypt")
        if not 4 <= int(bcrypted[1]) <= MOST_COST:
            raise ValueError(f"the cost of bcrypt is {int(bcrypted[1])}; it must be 4 to {MOST_COST}")
        return Stored(text, is_slow=True, is_weak=False)
    if text.startswith(("$apr1$", "$1$")):
        if not _MD5.fullmatch(text):
            raise ValueError("not a whole hash of MD5")
        return Stored(text, is_slow=True, is_weak=True)
    if text.startswith(("{SHA}", "{SSHA}")):
        size = len(_from_base64(text))
        if size < _SHA1_BYTES or (text.startswith("{SHA}") and size > _SHA1_BYTES):
            raise ValueError("not a whole hash of SHA-1")
        return Stored(text, is_slow=False, is_weak=True)
    if _OTHER.match(text):
        # The Collector takes those that it does not know for plain text, and nobody gets in.
        raise ValueError("a kind of hash that is not supported; make one with htpasswd -B, which is bcrypt")
    if not text:
        raise ValueError("the password is empty")
    return Stored(text, is_slow=False, is_weak=True)


def _from_base64(text: str) -> bytes:
    try:
        return b64decode(text.partition("}")[2], validate=True)
    except binascii.Error:
        raise ValueError("not a whole hash of SHA-1") from None


def md5_crypt(password: bytes, salt: bytes, kind: str) -> str:
    """What htpasswd -m writes behind the salt: the algorithm of FreeBSD's crypt (3), with Apache's mark in it."""
    other = _md5(password + salt + password)
    text = password + f"${kind}$".encode() + salt
    text += b"".join(other[: min(16, rest)] for rest in range(len(password), 0, -16))
    length = len(password)
    while length:
        text += b"\0" if length & 1 else password[:1]
        length >>= 1
    found = _md5(text)
    for number in range(1000):
        parts = [password if number & 1 else found]
        parts += [salt] if number % 3 else []
        parts += [password] if number % 7 else []
        parts.append(found if number & 1 else password)
        found = _md5(b"".join(parts))
    places = [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)]
    groups = [(found[a] << 16 | found[b] << 8 | found[c], 4) for a, b, c in places]
    return "".join(
        _DIGITS[value >> 6 * place & 63] for value, size in [*groups, (found[11], 2)] for place in range(size)
    )


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()
