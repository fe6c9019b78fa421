"""Hides passwords and tokens in texts: database errors quote connections and statements.

Known secrets are hidden wherever they appear. So is what looks like a secret, by its position
(`password=…`, `scheme://user:…@host`) or by its shape (a private key, an AWS key). Every pattern
takes linear time: a pattern that could scan the same text repeatedly is bounded.
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
    """Values that must not appear in any text, longest first."""

    distinct: tuple[str, ...] = ()
    """Hidden wherever they appear, even inside a word, and however they are escaped."""
    words: tuple[str, ...] = ()
    """Hidden only as whole words, since a longer word can contain these letters by chance."""

    @classmethod
    def among(cls, settings: Iterable[tuple[str, str]]) -> Secrets:
        """The secrets among settings, which are pairs of a field's or variable's name and a value.

        Values of fewer than six characters are left out, since too much else would be hidden. A
        plain word is also left out if a setting that is not secret has the same value, as where the
        user `postgres` has that password.
        """
        secrets: set[str] = set()
        openly: set[str] = set()
        for name, value in settings:
            (secrets if names_a_secret(name) else openly).add(value.strip())
            # Secrets in a connection string or a URL.
            secrets.update(match["secret"] for match in _matches(value))
        secrets = {value for value in secrets if len(value) >= 6 and value.lower() not in _NAMES}
        distinct = {value for value in secrets if len(value) >= 8 and not _plain(value)}
        words = {v for v in secrets - distinct if not (_plain(v) and v in openly)}
        return cls(_ordered(distinct), _ordered(words))


def redacted(text: str, secrets: Secrets | None) -> str:
    """The text without escape codes, and with `***` in place of each secret.

    If that fails, a note replaces the whole text.

    Args:
        secrets: the known secrets; None if they could not be determined.
    """
    if secrets is None:
        return "(not shown: its secrets could not be determined)"
    try:
        # An escape code within a secret would hide it.
        return _by_pattern(_by_value(without_escape_codes(text), secrets))
    except Exception as error:
        return f"(not shown: hiding its secrets failed with {type(error).__name__})"


def names_a_secret(name: str) -> bool:
    """Whether a field or variable of this name holds a secret: `db_password`, `ACCESS_TOKEN`."""
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)
    if not words or name.upper() in ("PWD", "OLDPWD") or words[-1].lower() in _ABOUT_A_SECRET:
        return False
    joined = "_".join(words).lower()
    return bool(_SECRET_NAME.search(joined)) and not _KEY_OF_A_TABLE.search(joined)


_NAMES = ("password", "passwd", "secret", "secrets", "credential", "credentials", "passphrase")
_ABOUT_A_SECRET = ("path", "file", "dir", "url", "uri", "name", "type", "provider", "scope", "ttl")
"""`private_key_path`, `token_uri`: a secret's location or kind is not secret."""
_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|passcode|secret|token(?!s|iz)|credential|authorization|connection_?string"
    r"|(?<![a-z])(pass|pw|pwd|pat|jwt|sas|keys?)(?![a-z])|(api|access|account)key"
)
_KEY_OF_A_TABLE = re.compile(
    r"(primary|foreign|unique|natural|surrogate|business|partition|sort|cluster|dist|join|merge)"
    r"_keys?$"
)


def _plain(value: str) -> bool:
    """Whether the value is only letters or only digits, as ordinary text is."""
    return value.isalpha() or value.isdigit()


def _ordered(values: Iterable[str]) -> tuple[str, ...]:
    """The values, and the forms that multi-line values take in texts; longest first."""
    forms = {form for value in values for form in _forms(value)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _forms(value: str) -> Iterator[str]:
    yield value
    # Multi-line keys are quoted on one line, or one line at a time.
    lines = value.split()
    if len(lines) > 1:
        yield " ".join(lines)
        yield from (line for line in lines if len(line) >= 16)


@dataclass(frozen=True)
class _Spellings:
    """The spellings of a value in texts: as it is, in URLs, in HTML, and in quotes (also nested) of
    SQL, JSON, Python and shells."""

    parts: tuple[str, ...]
    """Parts that are never escaped: a text that lacks one of them contains no spelling."""
    pattern: re.Pattern[str]

    def masked(self, text: str) -> str:
        """The text with every spelling masked."""
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
    """A pattern for all ways to write a character, each bounded to limit backtracking."""
    if character.isascii() and character.isalnum():
        return character
    # Environment variables can hold characters that UTF-8 can't encode.
    data, code = character.encode(errors="surrogatepass"), ord(character)
    plain, again = re.escape(character), rf"\\{{0,9}}{re.escape(character)}"
    ways = [again, "".join(f"%{byte:02x}" for byte in data)]
    if character == "\\":
        ways[0] = r"\\{1,16}"
    if character in "\"'":
        # Doubled in SQL; in a shell, the quotes are closed and reopened.
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
# The lookahead for the first letter is only for speed.
_NAME = (
    rf"(?=[acepst])(?:{_PASSWORD}|secret|token|credentials?|connection_?string|signature"
    r"|(?:api|access|account|private|secret|shared|encryption|signing)[_-]?(?:access[_-]?)?key"
    r"(?:_id)?|\bsig|\bsas)"
)
_QUOTE = r"(?P<quote>\\{0,9}[\"'])"
# Up to the closing quote or the end of the line: quotes inside are doubled or escaped.
_QUOTED = r"(?:(?P=quote){2}|(?!(?P=quote))(?:\\.?|[^\\\n]))+"
# Up to the end of a word, which can contain commas and brackets. ODBC puts it in braces.
_WORD = r"(?:\{[^}\n]+\}|(?:[^\s;&\"',)\]}]|[,)\]}](?=[^\s;&\"',)\]}]))+)"
_VALUE = rf"(?!(?:none|null)\b)(?P<secret>(?(quote){_QUOTED}|{_WORD}))"
# The prefix of SQL's other string literals: E'x', N'x', U&'x'.
_LITERAL = r"(?:[ebn]|u&)?"
_OPTION = (
    rf"(?<![\w-])--(?:[a-z0-9]{{1,20}}[_-]){{0,4}}(?:{_PASSWORD}|secret|token|credentials?|pat"
    r"|(?:api|access|account|private|secret|shared|encryption|signing)[_-]?(?:access[_-]?)?key)"
    r"(?![\w-])"
)
# Words that follow an option's name in prose.
_PROSE = (
    r"(?:is|are|was|must|may|can|can't|cannot|should|needs?|requires?|required|and|or|nor|not|no|to|for"
    r"|from|in|of|on|with|without|has|given|missing|option|flag|argument|parameter|password|text|token)"
    r"\b"
)
# In prose, `token: x` can be any token: require eight characters and a digit.
_ODD = r"(?=[^\s\d]{0,64}\d)(?=\S{8})"

_PATTERNS = [
    re.compile(pattern, re.ASCII | re.DOTALL | re.IGNORECASE)
    for pattern in (
        # A private key, or the start of one.
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?P<secret>.+?)"
        r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
        # scheme://user:password@host; a port is not a password.
        r"://[^\s:/@?#\[\"'`]*:(?!\d{1,5}[?#])(?P<secret>[^\s/\"'`]+)@",
        # Authorization: Bearer x
        r"authorization\\{0,9}[\"']?\s*[:=]\s*\\{0,9}[\"']?(?:(?:bearer|basic|token)\s+)?"
        r"(?P<secret>[^\s\"',;]+)",
        rf"\b(?:bearer|basic)\s+{_ODD}(?P<secret>[\w+/.~=-]+)",
        # password=x, password = 'x', 'password': x; not `a.password = b.password`.
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
        # (SECRET 'x', KEY_ID 'x'); a message can quote only its end.
        rf"(?:[(,]\s*|\.\.\.)\w{{0,40}}(?:{_NAME}|key_id)\s+{_QUOTE}{_VALUE}",
    )
] + [
    re.compile(rf"(?<![\w-])(?P<secret>{shape})")
    for shape in (
        # Verifiers, which PostgreSQL and others store in place of a password.
        r"SCRAM-SHA-\d{1,3}\$\d{1,9}:[\w+/=]+\$[\w+/=]+:[\w+/=]+",
        r"md5[0-9a-f]{32}\b",
        r"\$2[abxy]\$\d\d\$[\w./]{53}",
        r"\$argon2(?:id|i|d)\$[\w=,$+/.]{1,400}",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
        r"(?:gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|ya29\.|dapi|AIza)[\w-]{16,}",
    )
]
