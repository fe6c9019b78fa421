"""Policies in Python, in TOML and in files, and mistakes in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_sqlmesh_tracker import Reason, Status
from pytest_sqlmesh_tracker.gate import GatePolicy, GatePolicyError, GateRule, GateTolerance
from pytest_sqlmesh_tracker.wording.formats import one_line
from pytest_sqlmesh_tracker.wording.remarks import Fact

TWO_RULES = """
[[tool.sqlmesh_tracker.gate.rules]]
models = "marketing.*"
allow = ["signal_not_ready"]
until = 2026-12-31
why = "the partner's feed is late"

[[tool.sqlmesh_tracker.gate.rules]]
models = ["sales.orders", "sales.refunds"]
require = "executed"
"""
THE_TWO = (
    GateRule(
        "marketing.*",
        allow=["signal_not_ready"],
        until=date(2026, 12, 31),
        why="the partner's feed is late",
    ),
    GateRule(["sales.orders", "sales.refunds"], require="executed"),
)


def complaint(*rules: Any) -> str:
    """The one line that says why these can't be rules."""
    with pytest.raises(GatePolicyError) as caught:
        GatePolicy(rules)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def toml_complaint(toml: str | Mapping[str, Any]) -> str:
    with pytest.raises(GatePolicyError) as caught:
        GatePolicy.from_toml(toml)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


class TestRules:
    def test_a_rule_is_a_table_or_a_gate_rule(self) -> None:
        table = {"models": "sales.*", "deny": ["cron_not_due"]}
        assert GatePolicy(rules=[table]) == GatePolicy([GateRule("sales.*", deny=["cron_not_due"])])

    def test_words_are_statuses_and_reasons(self) -> None:
        rule = GateRule("a.*", allow=["failed", Reason.UPSTREAM_FAILED], deny=[Status.UNKNOWN])
        assert rule.allow == (Status.FAILED, Reason.UPSTREAM_FAILED)
        assert rule.deny == (Status.UNKNOWN,)

    def test_words_can_be_facts(self) -> None:
        fact = Fact.NONBLOCKING_AUDIT_FAILED
        rule = GateRule("a.*", allow="nonblocking_audit_failed", deny=[fact])
        assert rule.allow == rule.deny == (fact,)
        assert f"{fact}" == str(fact) == fact == "nonblocking_audit_failed"

    @pytest.mark.parametrize("rule", [{"deny": "failed"}, {"require": "executed"}])
    def test_a_rule_has_the_severity_error_by_default(self, rule: dict[str, Any]) -> None:
        assert GateRule("a.*", **rule).severity == "error"
        assert GateRule("a.*", severity="warning", **rule).severity == "warning"

    def test_one_word_and_one_model_need_no_list(self) -> None:
        rule = GateRule("a.*", allow="failed")
        assert (rule.models, rule.allow) == (("a.*",), (Status.FAILED,))

    def test_sets_are_sorted_and_duplicates_removed(self) -> None:
        rule = GateRule({"c", "a", "b"}, allow=("failed", "error", "failed"))
        assert rule.models == ("a", "b", "c")
        assert rule.allow == (Status.FAILED, Reason.ERROR)

    @pytest.mark.parametrize(
        ("text", "duration"),
        [
            ("90 minutes", timedelta(minutes=90)),
            ("26 hours", timedelta(hours=26)),
            (" 1.5 Days ", timedelta(days=1.5)),
            ("1 week", timedelta(weeks=1)),
            ("2h", timedelta(hours=2)),
            (timedelta(seconds=1), timedelta(seconds=1)),
        ],
    )
    def test_durations(self, text: Any, duration: timedelta) -> None:
        rule = GateRule("a.*", fresh_within=text, tolerate={"reason": "ended", "for": text})
        assert rule.fresh_within == duration
        assert rule.tolerate == GateTolerance(Reason.ENDED, duration)

    @given(st.timedeltas(timedelta(microseconds=1), timedelta(days=36525)))
    @example(timedelta(hours=26))
    @example(timedelta(days=14))
    @example(timedelta(minutes=1, seconds=30))
    def test_a_rule_in_json_is_the_same_rule(self, duration: timedelta) -> None:
        rule = GateRule("a", fresh_within=duration, tolerate=GateTolerance("ended", duration))
        assert GateRule(**rule.model_dump(mode="json")) == rule

    def test_durations_in_json_are_those_of_toml(self) -> None:
        rule = GateRule("a", fresh_within="26h", tolerate={"reason": "ended", "for": "2 weeks"})
        written = rule.model_dump(mode="json")
        assert written["fresh_within"] == "26 hours"
        assert written["tolerate"] == {"reason": "ended", "for": "14 days"}

    def test_rules_are_frozen(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            THE_TWO[0].why = "no reason"

    def test_a_label_has_three_models_at_most(self) -> None:
        assert GateRule(["a", "b", "c"], allow="failed").label == "a, b, c"
        assert GateRule(["a", "b", "c", "d", "e"], allow="failed").label == "a, b, c and 2 more"

    @pytest.mark.parametrize(
        ("table", "words"),
        [
            ({"model": "a"}, "unknown key 'model'; did you mean models?"),
            (
                {"zz": 1},
                "unknown key 'zz'; valid keys: models, allow, deny, require, fresh_within, "
                "tolerate, severity, until, why",
            ),
            (
                {"allow": ["failed"]},
                "models is missing: it must be a name, a glob, or a list of them",
            ),
            ({"models": "a"}, "a rule must have allow, deny, require, fresh_within or tolerate"),
            ({"models": []}, "models is empty: it must be a name, a glob, or a list of them"),
            ({"models": " "}, "models: ' ' is neither a name nor a glob"),
            ({"models": ["a", 3]}, "models: 3 is neither a name nor a glob"),
            (
                {"models": {"a": 1}},
                "models must be a name, a glob, or a list of them, not {'a': 1}",
            ),
            ({"models": None}, "models must be a name, a glob, or a list of them, not None"),
            (
                {"models": "a", "allow": ["signal_not_redy"]},
                "allow: 'signal_not_redy' is not a status, a reason or a fact; did you mean "
                "signal_not_ready",
            ),
            (
                {"models": "a", "deny": 1},
                "deny must be a list of statuses, reasons and facts, not 1",
            ),
            ({"models": "a", "require": "skipped"}, "require must be \"executed\", not 'skipped'"),
            (
                {"models": "a", "until": "2026-12-31"},
                "until must be a date without quotes, such as 2026-12-31, not",
            ),
            (
                {"models": "a", "until": datetime(2026, 12, 31)},
                "until must be a date without quotes",
            ),
            ({"models": "a", "why": 7}, "why must be a string, not 7"),
            (
                {"models": "a", "deny": ["nonblocking_audit_faild"]},
                "deny: 'nonblocking_audit_faild' is not a status, a reason or a fact; did you "
                "mean nonblocking_audit_failed",
            ),
            (
                {"models": "a", "deny": "failed", "severity": "warn"},
                'severity must be "error" or "warning", not \'warn\'',
            ),
            (
                {"models": "a", "allow": "failed", "severity": "warning"},
                "severity has no effect without deny, require, fresh_within or tolerate",
            ),
            (
                {"models": "a", "fresh_within": "26 horus"},
                "fresh_within: unknown unit 'horus'; did you mean hours?",
            ),
            (
                {"models": "a", "fresh_within": "30 seconds"},
                "fresh_within: unknown unit 'seconds'; valid units: minutes, hours, days, weeks",
            ),
            *(
                (
                    {"models": "a", "fresh_within": value},
                    "fresh_within must be a positive number of minutes, hours, days or weeks, such "
                    f'as "26 hours", not {value!r}',
                )
                for value in (26, "26", "hours", "0 hours", "-1 days", "", True, timedelta(-1))
            ),
            (
                {"models": "a", "fresh_within": "5300 weeks"},
                "fresh_within must be 100 years at most, not '5300 weeks'",
            ),
            (
                {"models": "a", "fresh_within": f"{10**30} weeks"},
                f"fresh_within: '{10**30} weeks' is too long",
            ),
            (
                {"models": "a", "tolerate": "2 days"},
                'tolerate must be a table such as { reason = "signal_not_ready", for = "2 days" }, '
                "not '2 days'",
            ),
            (
                {"models": "a", "tolerate": {"for": "2 days"}},
                'tolerate: reason is missing, as in { reason = "signal_not_ready", for = "2 ',
            ),
            (
                {"models": "a", "tolerate": {"reason": "signal_not_ready"}},
                "tolerate: for is missing, as in { ",
            ),
            (
                {"models": "a", "tolerate": {"reason": "signal_not_ready", "four": "2 days"}},
                "tolerate: unknown key 'four'; did you mean for?",
            ),
            (
                {"models": "a", "tolerate": {"reason": "signal_not_redy", "for": "2 days"}},
                "tolerate: reason: 'signal_not_redy' is not a reason; did you mean "
                "signal_not_ready",
            ),
            (
                {"models": "a", "tolerate": {"reason": "error", "for": "2 days"}},
                "tolerate: reason: error is not a reason for a skip; failures can't be tolerated "
                "for a time",
            ),
            (
                {"models": "a", "tolerate": {"reason": "signal_not_ready", "for": 2}},
                "tolerate: for must be a positive number of minutes, hours, days or weeks",
            ),
        ],
        ids=str,
    )
    def test_invalid_fields_of_a_rule(self, table: dict[str, Any], words: str) -> None:
        assert complaint(THE_TWO[1], table).startswith(f"rule 2: {words}")

    def test_an_unknown_word_without_close_matches_lists_the_valid_words(self) -> None:
        text = complaint({"models": "a", "deny": ["xyzzy"]})
        assert text.startswith("rule 1: deny: 'xyzzy' is not a status, a reason or a fact; ")
        assert all(str(word) in text for word in (*Status, *Reason, *Fact))

    def test_values_that_are_not_rules(self) -> None:
        assert complaint("sales.*") == "rule 1 must be a table, not 'sales.*'"

    @pytest.mark.parametrize("rules", ["sales.*", {"models": "a", "allow": "failed"}, 3])
    def test_values_that_are_not_lists_of_rules(self, rules: Any) -> None:
        with pytest.raises(GatePolicyError, match=r"^rules must be a list of tables: in TOML, "):
            GatePolicy(rules)

    def test_a_rule_by_itself_has_no_number(self) -> None:
        with pytest.raises(GatePolicyError, match=r"^why must be a string, not 7$"):
            GateRule("a", allow="failed", why=7)  # type: ignore[arg-type]


class TestToml:
    def test_limits_of_age_and_of_waiting(self) -> None:
        text = """
        [[rules]]
        models = "finance.*"
        fresh_within = "26 hours"
        [[rules]]
        models = "staging.bank_*"
        tolerate = { reason = "signal_not_ready", for = "2 days" }
        """
        assert GatePolicy.from_toml(text).rules == (
            GateRule("finance.*", fresh_within=timedelta(hours=26)),
            GateRule(
                "staging.bank_*", tolerate=GateTolerance("signal_not_ready", timedelta(days=2))
            ),
        )

    def test_the_tables_of_pyproject(self) -> None:
        assert GatePolicy.from_toml(TWO_RULES).rules == THE_TWO

    def test_a_parsed_document(self) -> None:
        rules = [{"models": "a.*", "allow": ["failed"]}]
        document = {"project": {}, "tool": {"sqlmesh_tracker": {"gate": {"rules": rules}}}}
        assert GatePolicy.from_toml(document) == GatePolicy(rules)

    def test_a_document_with_only_rules(self) -> None:
        text = TWO_RULES.replace("tool.sqlmesh_tracker.gate.", "")
        assert GatePolicy.from_toml(text).rules == THE_TWO

    @pytest.mark.parametrize("text", ["", "# nothing yet", "[tool.sqlmesh_tracker.gate]"])
    def test_no_rules_are_the_default(self, text: str) -> None:
        assert GatePolicy.from_toml(text) == GatePolicy()

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("rules = ", "invalid TOML: Invalid value"),
            ("until = 2026-02-30", "invalid TOML: Invalid date or datetime"),
            ("[project]\nname = 'shop'", "[[tool.sqlmesh_tracker.gate.rules]] is missing"),
            ("[tool.ruff]", "[[tool.sqlmesh_tracker.gate.rules]] is missing"),
            ("[tool.sqlmesh_tracker]", "[[tool.sqlmesh_tracker.gate.rules]] is missing"),
            ("tool = 3", "tool must be a table, not 3"),
            ("tool.sqlmesh_tracker.gate = []", "tool.sqlmesh_tracker.gate must be a table, not []"),
            ("[tool.sqlmesh_tracker.gte]", "unknown key 'gte'; did you mean gate?"),
            ("[[tool.sqlmesh_tracker.gate.rule]]", "unknown key 'rule'; did you mean rules?"),
            (
                "[tool.sqlmesh_tracker.gate.rules]",
                "rules must be a list of tables: in TOML, ",
            ),
            (
                "[[tool.sqlmesh-tracker.gate.rules]]",
                "unknown table [tool.sqlmesh-tracker]; did you mean tool.sqlmesh_tracker?",
            ),
            ("[[rules]]\n[other]", "unknown key 'other'; valid keys: rules"),
            (
                "[[rules]]\nmodels = 'a'\nallow = [1]",
                "rule 1: allow: 1 is not a status",
            ),
        ],
    )
    def test_contents_that_are_rejected(self, text: str, words: str) -> None:
        assert toml_complaint(text).startswith(words)

    def test_a_document_that_is_nested_too_deeply(self) -> None:
        assert toml_complaint("a = " + "[" * 100_000).startswith("invalid TOML: ")

    def test_python_3_10_uses_tomli(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
        monkeypatch.setattr(sys, "version_info", (3, 10, 14))
        monkeypatch.setitem(sys.modules, "tomli", tomllib)
        assert GatePolicy.from_toml(TWO_RULES).rules == THE_TWO


class TestFiles:
    def test_a_policy_file(self, tmp_path: Path) -> None:
        file = tmp_path / "policy.toml"
        file.write_text(TWO_RULES, encoding="utf-8")
        assert GatePolicy.from_file(file) == GatePolicy(THE_TWO, source=str(file))
        assert GatePolicy.from_file(str(file)).rules == THE_TWO

    def test_a_byte_order_mark_is_ignored(self, tmp_path: Path) -> None:
        file = tmp_path / "policy.toml"
        file.write_text(TWO_RULES, encoding="utf-8-sig")
        assert GatePolicy.from_file(file).rules == THE_TWO

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "can't be read: No such file or directory"),
            (b"[[", "invalid TOML: "),
            (b"\xff\xfe", "invalid TOML: it must be encoded as UTF-8"),
            (b"[[rules]]\nmodels = 'a'", "rule 1: a rule must have"),
        ],
    )
    def test_errors_begin_with_the_path(
        self, tmp_path: Path, content: bytes | None, words: str
    ) -> None:
        file = tmp_path / "policy.toml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(GatePolicyError) as caught:
            GatePolicy.from_file(file)
        assert str(caught.value).startswith(f"{file}: {words}")


class TestNearest:
    def write(self, folder: Path, text: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "pyproject.toml"
        file.write_text(text, encoding="utf-8")
        return file

    def test_a_policy_is_searched_from_a_folder_upward(self, tmp_path: Path) -> None:
        file = self.write(tmp_path, TWO_RULES)
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert GatePolicy.nearest(tmp_path / "a" / "b") == GatePolicy(THE_TWO, source=str(file))

    def test_a_policy_is_searched_from_a_file_or_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = self.write(tmp_path, TWO_RULES)
        assert GatePolicy.nearest(file).rules == THE_TWO
        monkeypatch.chdir(tmp_path)
        assert GatePolicy.nearest().rules == THE_TWO

    def test_only_the_nearest_policy_counts(self, tmp_path: Path) -> None:
        self.write(tmp_path, TWO_RULES)
        inner = self.write(tmp_path / "a", "[tool.sqlmesh_tracker.gate]")
        assert GatePolicy.nearest(tmp_path / "a") == GatePolicy(source=str(inner))

    def test_a_file_without_a_policy_is_passed_over(self, tmp_path: Path) -> None:
        self.write(tmp_path, TWO_RULES)
        self.write(tmp_path / "a", "[project]\nname = 'a'")
        (tmp_path / "a" / "b" / "pyproject.toml").mkdir(parents=True)
        assert GatePolicy.nearest(tmp_path / "a" / "b").rules == THE_TWO

    def test_no_policy_means_the_default(self, tmp_path: Path) -> None:
        assert GatePolicy.nearest(tmp_path) == GatePolicy()

    def test_a_broken_file_is_an_error(self, tmp_path: Path) -> None:
        self.write(tmp_path, TWO_RULES)
        file = self.write(tmp_path / "a", "[tool")
        with pytest.raises(GatePolicyError) as caught:
            GatePolicy.nearest(tmp_path / "a")
        assert str(caught.value).startswith(f"{file}: invalid TOML: ")


def test_one_line_shortens_and_joins() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 2_000_000, 10) == "xxxxxxxxx…"
