from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def euros(evaluator: MacroEvaluator, cents: exp.Expression) -> str:  # noqa: ARG001
    """An amount of cents, in euros and cents."""
    return f"(({cents}) / 100)::DECIMAL(10, 2)"
