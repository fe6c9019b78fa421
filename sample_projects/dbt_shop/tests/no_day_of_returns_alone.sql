select * from {{ ref('returns') }} where returned > 3
