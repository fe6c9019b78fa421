"""Which parts of a text are hidden."""

from __future__ import annotations

import html
import json
import re
import shlex
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker.tracking.errors.redaction import MASK, Secrets, names_a_secret, redacted

NONE = Secrets()
GITHUB = "ghp_" + "a1B2" * 9
DATABRICKS = "dapi" + "0123456789abcdef" * 2
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVm-NHl0w5N_XgL0"
SCRAM = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3Ot+cPnkdi4=:wfPLwzE6lNW/CsP8SkA="
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIE+abc/def==\n"
KEY_END = "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # Connections.
        ("to postgresql://etl:hunter2@db/prod failed", "to postgresql://etl:***@db/prod failed"),
        ("postgresql://etl:hunter@2#3@db:5432/x", "postgresql://etl:***@db:5432/x"),
        ("redis://:hunter2@cache", "redis://:***@cache"),
        ("host=db user=etl password=hunter2 dbname=x", "host=db user=etl password=*** dbname=x"),
        ("DRIVER=x;UID=etl;PWD={hunter;2};Database=x", "DRIVER=x;UID=etl;PWD=***;Database=x"),
        ("AccountKey=ab/c+d==;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
        ("md:db?motherduck_token=hunter2&x=1", "md:db?motherduck_token=***&x=1"),
        ("https://x.blob/c?sv=1&sig=abc%2Bdef&se=2", "https://x.blob/c?sv=1&sig=***&se=2"),
        # Programs.
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("connect(password='hunter2', port=1)", "connect(password='***', port=1)"),
        ("connect(password=hunt,er2, port=1)", "connect(password=***, port=1)"),
        ("{'user': 'etl', 'password': 'hunter2'}", "{'user': 'etl', 'password': '***'}"),
        (r'{"token": "hun\"ter2", "user": 1}', '{"token": "***", "user": 1}'),
        (r"{\"token\": \"hunter2\", \"user\": 1}", r"{\"token\": \"***\", \"user\": 1}"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic YWI6Y2Q='}", "{'Authorization': 'Basic ***'}"),
        ("sent bearer abc123def456", "sent bearer ***"),
        ("password: hunter", "password: ***"),
        ("token: abc123def456", "token: ***"),
        ("aws_secret_access_key = wJalrXUtn/K7MDENG", "aws_secret_access_key = ***"),
        # SQL.
        (
            "CREATE SECRET (TYPE s3, KEY_ID 'abc', SECRET 'd''ef', REGION 'eu')",
            "CREATE SECRET (TYPE s3, KEY_ID '***', SECRET '***', REGION 'eu')",
        ),
        ("...SESSION_TOKEN 'abc', SECRET 'd')", "...SESSION_TOKEN '***', SECRET '***')"),
        ("(CONNECTION_STRING 'AccountName=a;AccountKey=b')", "(CONNECTION_STRING '***')"),
        ("CREATE USER etl PASSWORD 'hunter2'", "CREATE USER etl PASSWORD '***'"),
        ("CREATE USER etl IDENTIFIED BY 'hunter2'", "CREATE USER etl IDENTIFIED BY '***'"),
        ("AWS_SECRET_KEY = 'abc' AWS_ROLE = 'x'", "AWS_SECRET_KEY = '***' AWS_ROLE = 'x'"),
        ("password => 'hunter2'", "password => '***'"),
        ("ALTER ROLE a PASSWORD 'it''s' IN ROLE 'x'", "ALTER ROLE a PASSWORD '***' IN ROLE 'x'"),
        (r"'ALTER ROLE a PASSWORD \'it\'\'s\' LOGIN'", r"'ALTER ROLE a PASSWORD \'***\' LOGIN'"),
        (r"PASSWORD E'it\'s'", "PASSWORD E'***'"),
        ("PASSWORD U&'hunter2'", "PASSWORD U&'***'"),
        ("PASSWORD $$it's$$ LOGIN", "PASSWORD $$***$$ LOGIN"),
        ("PASSWORD $pw$it's$$2$pw$ LOGIN", "PASSWORD $pw$***$pw$ LOGIN"),
        ('IDENTIFIED BY "hunter""2" ACCOUNT UNLOCK', 'IDENTIFIED BY "***" ACCOUNT UNLOCK'),
        # Options.
        ("tool --password hunter2 --user etl", "tool --password *** --user etl"),
        ("tool --password=hunter2 --user etl", "tool --password=*** --user etl"),
        ("tool --db-password 'hunt er2' -v", "tool --db-password '***' -v"),
        ("tool --api-key abc --region eu", "tool --api-key *** --region eu"),
        ("['tool', '--token', 'hunter2', '-v']", "['tool', '--token', '***', '-v']"),
        (r'"[\"tool\", \"--secret\", \"hunter2\"]"', r'"[\"tool\", \"--secret\", \"***\"]"'),
        # Verifiers.
        (f"rolpassword: {SCRAM}, 1", "rolpassword: ***, 1"),
        (f"rolpassword: md5{'0a' * 16}, 1", "rolpassword: ***, 1"),
        (f"hash $2b$12${'a.B/' * 13}c", "hash ***"),
        ("hash $argon2id$v=19$m=65536,t=3,p=4$c29tZQ$aGFzaA", "hash ***"),
        # An escape code within it.
        ("PASSWORD \x1b[4m'hunter2'\x1b[0m", "PASSWORD '***'"),
        # What it is can be seen.
        ("denied for AKIAIOSFODNN7EXAMPLE", "denied for ***"),
        (f"as {GITHUB} of {DATABRICKS}", "as *** of ***"),
        (f"expired: {JWT}", "expired: ***"),
        (f"{KEY}{KEY_END} is no key", f"{KEY.splitlines()[0]}***{KEY_END} is no key"),
        (f"cut off: {KEY}", f"cut off: {KEY.splitlines()[0]}***"),
    ],
)  # fmt: skip
def test_apparent_secrets_are_hidden(text: str, shown: str) -> None:
    assert redacted(text, NONE) == shown


@pytest.mark.parametrize(
    "text",
    [
        'Binder Error: column "password" not found, Candidate bindings: "token_count"',
        "SELECT password = 1, token_count = 123456789 FROM t WHERE a.password = b.password",
        "Parser Error: syntax error at or near token 'FROM', unexpected token: FROM",
        "Invalid expression / Unexpected token. Line 1, Col: 5.",
        'Token "abc" is invalid.',
        'FATAL: password authentication failed for user "etl"',
        "Basic authentication is not supported",
        "http://host:8080/path?email=a@b.c and http://host:8080?email=a@b.c",
        "mail me@example.com: it is 12:30",
        "connect(password=None, token=null)",
        'Constraint Error: Duplicate key "id: 12345678" violates primary key constraint',
        "Catalog Error: Table with name secret_events does not exist!",
        "f() got an unexpected keyword argument 'token'",
        "KeyError: 'password'",
        "Secret 's3' not found",
        "the option --password is required; --token must be given",
        "usage: tool [--password PASSWORD] [--password-file FILE] [--token-ttl 5]",
        "the column md5 and SCRAM-SHA-256 are fine",
        "(1, 'token'), (2, 'secret')",
        "",
    ],
)
def test_other_messages_are_unchanged(text: str) -> None:
    assert redacted(text, NONE) == text


def in_double_quotes_of_a_shell(text: str) -> str:
    return re.sub(r'([$`"\\])', r"\\\1", text)


ESCAPES: list[Callable[[str], str]] = [
    str,
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: re.sub(r"u[0-9a-f]{4}", lambda code: f"u{code[0][1:].upper()}", json.dumps(text)),
    repr,
    lambda text: repr(repr(text)),
    lambda text: repr(f"'\"{text}"),
    ascii,
    lambda text: repr(text.encode()),
    lambda text: text.replace("'", "''"),
    lambda text: text.replace('"', '""'),
    lambda text: repr(text.replace("'", "''")),
    lambda text: json.dumps(text.replace("'", "''")),
    lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
    quote,
    quote_plus,
    lambda text: quote(text, safe="").lower(),
    shlex.quote,
    lambda text: text.replace("'", "'\\''"),
    in_double_quotes_of_a_shell,
    lambda text: re.sub(r"(\W)", r"\\\1", text),
    html.escape,
    lambda text: "".join(c if c.isalnum() else f"&#{ord(c)};" for c in text),
]
"""What programs make of a text before they quote it, some of it twice over."""


class TestKnown:
    def known(self, **settings: str) -> Secrets:
        return Secrets.among(settings.items())

    def test_a_value_is_hidden_everywhere(self) -> None:
        known = self.known(password="hunter2-S3cret")
        assert redacted("atHunter2: hunter2-S3crets!", known) == "atHunter2: ***s!"

    @pytest.mark.parametrize(
        "spelled",
        [
            "p@ss/w'd 1",
            "p%40ss%2Fw%27d%201",
            "p%40ss%2fw%27d%201",
            "p%40ss/w%27d%201",
            "p%40ss%2Fw%27d+1",
            "p@ss/w''d 1",
        ],
    )
    def test_a_value_is_hidden_in_every_spelling(self, spelled: str) -> None:
        assert redacted(f"at {spelled}.", self.known(password="p@ss/w'd 1")) == "at ***."

    @pytest.mark.parametrize("quoted", [r"a\"b\\c\u00e91", r"a\"b\\cé1", r'a"b\\cé1'])
    def test_a_value_is_hidden_when_quoted(self, quoted: str) -> None:
        assert redacted(f"at {quoted}.", self.known(password='a"b\\cé1')) == "at ***."

    @pytest.mark.parametrize(
        "password", ['it\'s "q" \\ ä1x', "pä$$w0rd`x y", "a&b<c>'1", "tab\there1", "😀smile's"]
    )
    @pytest.mark.parametrize("escaped", ESCAPES)
    def test_a_value_is_hidden_when_escaped(
        self, password: str, escaped: Callable[[str], str]
    ) -> None:
        text = f"at {escaped(password)}."
        shown = redacted(text, self.known(password=password))
        assert MASK in shown
        assert not any(part in shown for part in re.findall(r"[a-z0-9]{3,}", password))

    def test_longer_values_are_hidden_first(self) -> None:
        known = self.known(password="hunter2-S3cret", token="hunter2-S3cret-too")
        assert redacted("hunter2-S3cret-too", known) == MASK

    def test_a_plain_value_is_hidden_as_a_whole_word(self) -> None:
        known = self.known(password="analytics", token="20240101")
        text = "analytics! metaanalytics, analytics_2, 20240101, 120240101"
        assert redacted(text, known) == "***! metaanalytics, ***_2, ***, 120240101"

    def test_a_value_that_is_also_public_is_not_hidden(self) -> None:
        text = 'role "postgres" does not exist, S3cret-role'
        known = self.known(password="postgres", user="postgres")
        assert redacted(text, known) == text
        known = self.known(password="S3cret-role", user="S3cret-role")
        assert redacted(text, known) == 'role "postgres" does not exist, ***'

    @pytest.mark.parametrize("value", ["", "a", "admin", "  test  ", "password", "Secrets"])
    def test_common_and_short_values_are_not_hidden(self, value: str) -> None:
        text = "a test of admin: no password authentication; Secrets"
        assert redacted(text, self.known(password=value)) == text

    def test_secret_parts_of_a_value(self) -> None:
        known = self.known(
            url="postgresql://etl:hunter2-url@db",
            azure="AccountName=a;AccountKey=hunter2-key;x=1",
            harmless="nothing-to-hide-1",
        )
        text = "hunter2-url, hunter2-key, nothing-to-hide-1"
        assert redacted(text, known) == "***, ***, nothing-to-hide-1"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "db_password", "PGPASSWORD", "passwd", "DB_PWD", "private_key_passphrase"),
        *("token", "ACCESS_TOKEN", "motherduck_token", "jwt_token", "refreshToken", "GITHUB_PAT"),
        *("secret", "aws_secret_access_key", "client_secret", "secrets", "KEY_ID", "apikey"),
        *("credentials", "STRIPE_KEY", "accountKey", "Authorization", "connection_string"),
        *("SQLMESH__GATEWAYS__X__CONNECTION__PASSWORD", "private-key"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "_", "user", "host", "database", "type", "PATH", "PWD", "OLDPWD", "SSH_AUTH_SOCK"),
        *("private_key_path", "token_uri", "credentials_provider", "SECRET_NAME", "TOKEN_TTL"),
        *("TOKENIZERS_PARALLELISM", "MAX_OUTPUT_TOKENS", "primary_key", "partition_keys"),
        *("keyboard", "monkey", "keepalives_idle", "compat", "concurrent_tasks"),
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not names_a_secret(name)


PIECES = st.sampled_from(
    [
        *("password", "token", "secret", "authorization", "Bearer ", "identified by ", "sig"),
        *("=", ":", " ", "'", '"', "\\", ",", "(", ")", "{", "}", ";", "&", "\n", "..."),
        *("://", "@", "hunter2", "abc123def456", "-----BEGIN PRIVATE KEY-----", "***"),
        *("AKIAIOSFODNN7EXAMPLE", "none", "eyJ", "\ud800", "é"),
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=20).map("".join)


@given(TEXTS, st.lists(TEXTS.map(lambda text: text.replace("*", "")[:20])))
def test_no_known_secret_is_left_in_any_text(text: str, passwords: list[str]) -> None:
    known = Secrets.among([("password", password) for password in passwords])
    shown = redacted("".join([text, *passwords]), known)
    assert "not shown" not in shown
    assert [value for value in known.distinct if value in shown] == []


@pytest.mark.long
@pytest.mark.parametrize(
    "piece",
    [
        *("password=", "password='", "password: ", "password '", "password=a,", "pwd={", "token:"),
        *("token: ", "token:,,,,", "secret\\", 'secret\\\\\\"', "access_key_id", "(token '", "(,a"),
        *("authorization:", "authorization: x ", "bearer a", "identified by ", "://a:", "://a"),
        *("--password ", "--password '", "--a-", "password $", "password $$", "SCRAM-SHA-256$1:"),
        *(
            "hunter2",
            "hunter2 & ",
            "more hunter2 1 2 3 4 5 6 7 8 9 0 ",
            "\\'",
            "&#3",
            "\x1b[",
            "\x1b]",
        ),
        *("eyJ", "eyJ-", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN A ", "ghp_"),
        *("a", "1", " ", "\n", "'", '"', "\\", "(", ")", ",", "...", "%41", "x.y-z+", "é"),
    ],
)
def test_hostile_text_is_redacted_in_linear_time(piece: str) -> None:
    text = piece * (250_000 // len(piece))
    known = Secrets.among([(f"password_{n}", f"hunter2 & 'more' {n}") for n in range(50)])
    began = time.process_time()
    redacted(text, known)
    # It takes 0.1 to 0.5 s; in quadratic time, it would take minutes.
    assert time.process_time() - began < 5


@pytest.mark.parametrize("secrets", [Secrets(distinct=(None,)), None])  # type: ignore[arg-type]
def test_text_that_cannot_be_redacted_is_not_shown(secrets: Any) -> None:
    shown = redacted("hunter2", secrets)
    assert shown.startswith("(not shown: ")
    assert "hunter2" not in shown
