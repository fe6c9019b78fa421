from sqlmesh import DatetimeRanges, ExecutionContext, signal


@signal()
def bank_statement_arrived(batch: DatetimeRanges, context: ExecutionContext) -> DatetimeRanges:
    """Of the days in question, those that the bank has delivered."""
    rows = context.engine_adapter.fetchall("SELECT statement_date FROM raw.bank_statements")
    arrived = {row[0] for row in rows}
    return [(start, end) for start, end in batch if start.date() in arrived]
