{{ config(materialized='table', cron='@weekly') }}

select bean_id, sum(bags) as bags from {{ ref('order_values') }} group by bean_id
