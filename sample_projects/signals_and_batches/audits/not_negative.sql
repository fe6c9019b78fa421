AUDIT (
  name not_negative
);

SELECT
  *
FROM @this_model
WHERE
  @measure < 0
