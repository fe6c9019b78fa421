"""Passwords and tokens in texts: errors of databases quote connections and statements.

Hidden is what is known to be secret, wherever it stands, and what looks so: by where it stands
(`password=…`, `scheme://user:…@host`), or by its shape (a private key, an AWS key). Every pattern
takes linear time: where one of them could look at the same text again and again, it is bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from ..escapes import without_escape_codes

MASK = "***"


@dataclass(frozen=True)
class Secrets:
    """Values that no text may hold, the longest first."""

    distinct: tuple[str, ...] = ()
    """Hidden wherever they stand, also inside of a word."""
    words: tuple[str, ...] = ()
    """Hidden where they are a word of their own: a longer one can have these letters by chance."""

    @classmethod
    def among(cls, settings: Iterable[tuple[str, str]]) -> Secrets:
        """Those among settings: names (of fields, of environment variables) and values.

        Of less than six characters none is: too much else would be hidden. Neither is a plain word
        that is openly the value of another setting, as where the user `postgres` has that password.
        """
        secrets: set[str] = set()
        openly: set[str] = set()
        for name, value in settings:
            (secrets if names_a_secret(name) else openly).add(value.strip())
            # What is secret in a connection string, or in a URL.
            secrets.update(match["secret"] for match in _found(value))
        secrets = {value for value in secrets if len(value) >= 6 and value.lower() not in _NAMES}
        distinct = {value for value in secrets if len(value) >= 8 and not _plain(value)}
        words = {v for v in secrets - distinct if not (_plain(v) and v in openly)}
        return cls(_spelled(distinct), _spelled(words))


def redacted(text: str, secrets: Secrets | None) -> str:
    """The text without escape codes, and with `***` in place of each secret.

    Without the text, where that fails.

    Args:
        secrets: what is known to be secret; None where that could not be told.
    """
    if secrets is None:
        return "(not shown: it could not be told which secrets it holds)"
    try:
        # An escape code within a secret would hide it.
        return _by_pattern(_by_value(without_escape_codes(text), secrets))
    except Exception as error:
        return f"(not shown: hiding its secrets failed with {type(error).__name__})"


def names_a_secret(name: str) -> bool:
    """Whether fields and variables of this name hold a secret: `db_password`, `ACCESS_TOKEN`."""
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)
    if not words or name.upper() in ("PWD", "OLDPWD") or words[-1].lower() in _ABOUT_A_SECRET:
        return False
    joined = "_".join(words).lower()
    return bool(_SECRET_NAME.search(joined)) and not _KEY_OF_A_TABLE.search(joined)


_NAMES = ("password", "passwd", "secret", "secrets", "credential", "credentials", "passphrase")
_ABOUT_A_SECRET = ("path", "file", "dir", "url", "uri", "name", "type", "provider", "scope", "ttl")
"""`private_key_path`, `token_uri`: where it is, and of what kind, is no secret."""
_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|passcode|secret|token(?!s|iz)|credential|authorization|connection_?string"
    r"|(?<![a-z])(pass|pw|pwd|pat|jwt|sas|keys?)(?![a-z])|(api|access|account)key"
)
_KEY_OF_A_TABLE = re.compile(
    r"(primary|foreign|unique|natural|surrogate|business|partition|sort|cluster|dist|join|merge)"
    r"_keys?$"
)


def _plain(value: str) -> bool:
    """Whether it is all letters or all figures, as much else is."""
    return value.isalpha() or value.isdigit()


def _spelled(values: Iterable[str]) -> tuple[str, ...]:
    """The values as texts have them: as they are, in URLs, in quotes of SQL, JSON and Python."""
    spelled = {spelling for value in values for spelling in _spellings(value)}
    return tuple(sorted(spelled, key=lambda spelling: (-len(spelling), spelling)))


def _spellings(value: str) -> Iterator[str]:
    yield value
    # Environment variables can hold what UTF-8 can't.
    data = value.encode(errors="surrogatepass")
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield encoded
        yield re.sub("%..", lambda escape: escape[0].lower(), encoded)
    yield value.replace("'", "''")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    # Keys of several lines are quoted in one, or a line at a time.
    lines = value.split()
    if len(lines) > 1:
        yield " ".join(lines)
        yield from (line for line in lines if len(line) >= 16)


def _by_value(text: str, secrets: Secrets) -> str:
    for value in secrets.distinct:
        text = text.replace(value, MASK)
    for value in secrets.words:
        if value in text:
            text = re.sub(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])", MASK, text)
    return text


def _by_pattern(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(_masked, text)
    return text


def _found(text: str) -> Iterator[re.Match[str]]:
    return (match for pattern in _PATTERNS for match in pattern.finditer(text))


def _masked(match: re.Match[str]) -> str:
    start, end = (place - match.start() for place in match.span("secret"))
    return match[0][:start] + MASK + match[0][end:]


_PASSWORD = r"(?:passw(?:or)?d|passphrase|pwd)"
# The first letters are there for speed alone.
_NAME = (
    rf"(?=[acepst])(?:{_PASSWORD}|secret|token|credentials?|connection_?string|signature"
    r"|(?:api|access|account|private|secret|shared|encryption|signing)[_-]?(?:access[_-]?)?key"
    r"(?:_id)?|\bsig|\bsas)"
)
_QUOTE = r"(?P<quote>\\{0,9}[\"'])"
# To the closing quote, or that of the line: quotes in it are doubled or escaped.
_QUOTED = r"(?:(?P=quote){2}|(?!(?P=quote))(?:\\.?|[^\\\n]))+"
# To the end of a word, which can have commas and brackets in it. ODBC has braces around it.
_WORD = r"(?:\{[^}\n]+\}|(?:[^\s;&\"',)\]}]|[,)\]}](?=[^\s;&\"',)\]}]))+)"
_VALUE = rf"(?!(?:none|null)\b)(?P<secret>(?(quote){_QUOTED}|{_WORD}))"
# In running text, `token: x` is said of other tokens as well: eight characters, and a figure.
_ODD = r"(?=[^\s\d]{0,64}\d)(?=\S{8})"

_PATTERNS = [
    re.compile(pattern, re.ASCII | re.DOTALL | re.IGNORECASE)
    for pattern in (
        # A private key, or the beginning of one.
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?P<secret>.+?)"
        r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
        # scheme://user:password@host; a port is none.
        r"://[^\s:/@?#\[\"'`]*:(?!\d{1,5}[?#])(?P<secret>[^\s/\"'`]+)@",
        # Authorization: Bearer x
        r"authorization\\{0,9}[\"']?\s*[:=]\s*\\{0,9}[\"']?(?:(?:bearer|basic|token)\s+)?"
        r"(?P<secret>[^\s\"',;]+)",
        rf"\b(?:bearer|basic)\s+{_ODD}(?P<secret>[\w+/.~=-]+)",
        # password=x, password = 'x', 'password': x; of `a.password = b.password` nothing.
        rf"{_NAME}\\{{0,9}}[\"']?(?:=|\s*:?=>?\s*(?=\\*[\"'])|(?<=[\"'])\s*:\s*)(?:{_QUOTE})?{_VALUE}",
        # password: x, password 'x', identified by 'x'
        rf"(?=[pi])(?:{_PASSWORD}\s*:\s*|(?:{_PASSWORD}|identified\s+by)\s+(?='))(?:{_QUOTE})?{_VALUE}",
        # token: x, token = x
        rf"{_NAME}\s*[:=]\s*[\"']?{_ODD}(?P<secret>{_WORD})",
        # (SECRET 'x', KEY_ID 'x'), of which a message can quote the end alone.
        rf"(?:[(,]\s*|\.\.\.)\w{{0,40}}(?:{_NAME}|key_id)\s+{_QUOTE}{_VALUE}",
    )
] + [
    re.compile(rf"(?<![\w-])(?P<secret>{shape})")
    for shape in (
        r"(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
        r"(?:gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|ya29\.|dapi|AIza)[\w-]{16,}",
    )
]
