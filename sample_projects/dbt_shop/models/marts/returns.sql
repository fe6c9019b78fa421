{{ config(materialized='table') }}

select day, count(*) as returned from {{ ref('stg_orders') }} where status = 'returned' group by day
