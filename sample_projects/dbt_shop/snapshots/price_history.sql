{% snapshot price_history %}
{{ config(target_schema='shop', unique_key='bean_id', strategy='check', check_cols=['price']) }}
select bean_id, bean, price from {{ ref('beans') }}
{% endsnapshot %}
