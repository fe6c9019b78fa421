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
from functools import lru_cache
from html.entities import codepoint2name

from pytest_sqlmesh_tracker.wording.printable import without_escape_codes

MASK = "***"


@dataclass(frozen=True)
class Secrets:
    """Values that no text may hold, the longest first."""

    distinct: tuple[str, ...] = ()
    """Hidden wherever they stand, also inside of a word, and however they are escaped."""
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
            secrets.update(match["secret"] for match in _matches(value))
        secrets = {value for value in secrets if len(value) >= 6 and value.lower() not in _NAMES}
        distinct = {value for value in secrets if len(value) >= 8 and not _plain(value)}
        words = {v for v in secrets - distinct if not (_plain(v) and v in openly)}
        return cls(_ordered(distinct), _ordered(words))


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
"""`private_key_path`, `token_uri`: where it is, and of what kind, is not a secret."""
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


def _ordered(values: Iterable[str]) -> tuple[str, ...]:
    """The values, and what texts make of those of several lines; the longest first."""
    forms = {form for value in values for form in _forms(value)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _forms(value: str) -> Iterator[str]:
    yield value
    # Keys of several lines are quoted in one, or a line at a time.
    lines = value.split()
    if len(lines) > 1:
        yield " ".join(lines)
        yield from (line for line in lines if len(line) >= 16)


@dataclass(frozen=True)
class _Spellings:
    """A value as texts have it: as it is, in URLs, in HTML, and in quotes, also twice over, of SQL,
    JSON, Python and shells."""

    parts: tuple[str, ...]
    """What none of them escapes: where one of these is missing, there is none of its spellings."""
    pattern: re.Pattern[str]

    def masked(self, text: str) -> str:
        """The text without any of them."""
        if not all(part in text for part in self.parts):
            return text
        return self.pattern.sub(MASK, text)


@lru_cache(maxsize=1000)
def _spellings(value: str, *, word: bool) -> _Spellings:
    spelled = "".join(map(_spelled, value))
    if word:
        spelled = rf"(?<![^\W_]){spelled}(?![^\W_])"
    return _Spellings(tuple(re.findall(r"[A-Za-z0-9]+", value)), re.compile(spelled))


def _spelled(character: str) -> str:
    """A pattern for all ways to write a character. Each is bounded: backtracking is, as well."""
    if character.isascii() and character.isalnum():
        return character
    # Environment variables can hold what UTF-8 can't.
    data, code = character.encode(errors="surrogatepass"), ord(character)
    plain, again = re.escape(character), rf"\\{{0,9}}{re.escape(character)}"
    ways = [again, "".join(f"%{byte:02x}" for byte in data)]
    if character == "\\":
        ways[0] = r"\\{1,16}"
    if character in "\"'":
        # Doubled in SQL; in a shell the quotes end, and begin anew.
        ways[:0] = [again + again, rf"'\\{{0,9}}\"\\{{0,9}}{plain}\\{{0,9}}\"\\{{0,9}}'"]
        ways[:0] = [rf"'\\{{1,9}}{plain}\\{{0,9}}'"]
    if character == " ":
        ways.append(r"\+")
    for escaped in (json.dumps(character)[1:-1], repr(character)[1:-1], ascii(character)[1:-1]):
        if escaped.startswith("\\") and escaped[1:] not in ("\\", character):
            ways.append(escaped.replace("\\", r"\\{1,9}"))
    ways += ["".join(rf"\\{{1,9}}x{byte:02x}" for byte in data), rf"\\{{1,9}}u{code:04x}"]
    ways += [
        rf"&#0{{0,4}}{code};",
        rf"&#x0{{0,4}}{code:x};",
        rf"&{codepoint2name.get(code, 'apos')};",
    ]
    return f"(?i:{'|'.join(ways)})"


def _by_value(text: str, secrets: Secrets) -> str:
    for value in secrets.distinct:
        text = _spellings(value, word=False).masked(text)
    for value in secrets.words:
        text = _spellings(value, word=True).masked(text)
    return text


def _by_pattern(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(_masked, text)
    return text


def _matches(text: str) -> Iterator[re.Match[str]]:
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
# Before the quote of SQL's other literals: E'x', N'x', U&'x'.
_LITERAL = r"(?:[ebn]|u&)?"
_OPTION = (
    rf"(?<![\w-])--(?:[a-z0-9]{{1,20}}[_-]){{0,4}}(?:{_PASSWORD}|secret|token|credentials?|pat"
    r"|(?:api|access|account|private|secret|shared|encryption|signing)[_-]?(?:access[_-]?)?key)"
    r"(?![\w-])"
)
# What follows the name of an option where it is only spoken of.
_PROSE = (
    r"(?:is|are|was|must|may|can|can't|cannot|should|needs?|requires?|required|and|or|nor|not|no|to|for"
    r"|from|in|of|on|with|without|has|given|missing|option|flag|argument|parameter|password|text|token)"
    r"\b"
)
# In running text, `token: x` names other tokens as well: eight characters, and a figure.
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
        # password: x, password 'x', password E'x', identified by "x"
        rf"(?=[pi])(?:{_PASSWORD}\s*:\s*|{_PASSWORD}\s+{_LITERAL}(?=\\{{0,9}}')|identified\s+by\s+{_LITERAL}"
        rf"(?=\\{{0,9}}[\"']))(?:{_QUOTE})?{_VALUE}",
        # password $$x$$, password $tag$x$tag$
        rf"{_PASSWORD}\s+\$(?P<tag>\w{{0,40}})\$(?P<secret>.+?)(?:\$(?P=tag)\$|\Z)",
        # --password x, --api-key 'x', and as a list of arguments: '--token', 'x'
        rf"{_OPTION}(?:\s+(?!-|{_PROSE})|\\{{0,9}}[\"']\s*,\s*(?=\\{{0,9}}[\"']))(?:{_QUOTE})?{_VALUE}",
        # token: x, token = x
        rf"{_NAME}\s*[:=]\s*[\"']?{_ODD}(?P<secret>{_WORD})",
        # (SECRET 'x', KEY_ID 'x'), of which a message can quote the end alone.
        rf"(?:[(,]\s*|\.\.\.)\w{{0,40}}(?:{_NAME}|key_id)\s+{_QUOTE}{_VALUE}",
    )
] + [
    re.compile(rf"(?<![\w-])(?P<secret>{shape})")
    for shape in (
        # Verifiers: what PostgreSQL and others keep in place of a password.
        r"SCRAM-SHA-\d{1,3}\$\d{1,9}:[\w+/=]+\$[\w+/=]+:[\w+/=]+",
        r"md5[0-9a-f]{32}\b",
        r"\$2[abxy]\$\d\d\$[\w./]{53}",
        r"\$argon2(?:id|i|d)\$[\w=,$+/.]{1,400}",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
        r"(?:gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|ya29\.|dapi|AIza)[\w-]{16,}",
    )
]
