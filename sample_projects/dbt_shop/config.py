"""What makes a dbt project one of SQLMesh, too."""

from pathlib import Path

from sqlmesh.dbt.loader import sqlmesh_config

config = sqlmesh_config(Path(__file__).parent, disable_anonymized_analytics=True)
