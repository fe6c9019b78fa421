"""Files that a project reads outside of its folder: seeds, and files that its Python code opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from tests.projects import Project

from .building import Sandboxes, project, snapshot_of

LOCAL = "{local: {connection: {type: duckdb}}}"


def with_seed(path: Path, seed: str, name: str = "shop.x", file: str = "models/x.sql") -> Project:
    made = project(path, LOCAL)
    made.write(
        file, f"MODEL (name {name}, kind SEED (path '{seed}'), columns (id INT, name TEXT));"
    )
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a file, next to that of the project."""
    file = tmp_path / "data" / "x.csv"
    file.parent.mkdir()
    file.write_text("id,name\n1,a\n")
    return file


class TestSeeds:
    """A seed is loaded from wherever SQLMesh loads it."""

    @pytest.mark.parametrize(
        ("folder", "seeds"),
        [
            (
                "shop",
                {
                    "models/near.sql": "../../data/x.csv",
                    "models/deep/far.sql": "../../../data/x.csv",
                    "models/root.sql": "$root/../data/x.csv",
                    "models/absolute.sql": "{data}",
                },
            ),
            ("repos/a/shop", {"models/further.sql": "../../../../data/x.csv"}),
        ],
        ids=["a folder up", "folders up"],
    )
    def test_outside_of_the_project_are_loaded(
        self, tmp_path: Path, data: Path, sandboxes: Sandboxes, folder: str, seeds: dict[str, str]
    ) -> None:
        for file, seed in seeds.items():
            path = seed.format(data=data)
            made = with_seed(tmp_path / folder, path, f"shop.{Path(file).stem}", file)
        before = snapshot_of(tmp_path)

        with sandboxes(made.path) as copy:
            for file in seeds:
                assert copy.fetch(f"SELECT id, name FROM shop.{Path(file).stem}") == [(1, "a")]
            report = copy.run(at="+1 day")
            names = [f"shop.{Path(file).stem}" for file in seeds]
            report.assert_skipped(*names, reason="no_changes")
        assert snapshot_of(tmp_path) == before

    def test_seeds_of_several_projects_are_loaded(
        self, tmp_path: Path, data: Path, sandboxes: Sandboxes
    ) -> None:
        (data.parent / "y.csv").write_text("id,name\n2,b\n")
        a = with_seed(tmp_path / "a", "../../data/x.csv")
        b = with_seed(tmp_path / "b", "../../data/y.csv", "shop.y")
        b.write("models/z.sql", "MODEL (name shop.z, kind SEED (path '../../data/x.csv'));")

        with sandboxes([a.path, b.path]) as copy:
            assert copy.fetch("SELECT id FROM shop.x UNION ALL SELECT id FROM shop.y") == [
                (1,),
                (2,),
            ]

    def test_can_be_edited_in_a_copy(
        self, tmp_path: Path, data: Path, sandboxes: Sandboxes
    ) -> None:
        made = with_seed(tmp_path / "shop", "../../data/x.csv")

        with sandboxes(made.path) as copy:
            copy.write("../data/x.csv", "id,name\n2,b\n")
            copy.plan().assert_executed("shop.x")
            assert copy.fetch("SELECT id, name FROM shop.x") == [(2, "b")]
        with sandboxes(made.path) as copy:
            copy.plan().assert_nothing_executed()
            assert copy.fetch("SELECT id, name FROM shop.x") == [(1, "a")]
        assert data.read_text() == "id,name\n1,a\n"

    def test_are_as_they_were_when_the_project_was_planned(
        self, tmp_path: Path, data: Path, sandboxes: Sandboxes
    ) -> None:
        made = with_seed(tmp_path / "shop", "../../data/x.csv")
        made.write("seeds/y.csv", "id\n1\n")
        made.write("models/y.sql", "MODEL (name shop.y, kind SEED (path '$root/seeds/y.csv'));")

        with sandboxes(made.path):
            pass
        data.write_text("id,name\n3,c\n")
        made.write("seeds/y.csv", "id\n3\n")
        with sandboxes(made.path) as copy:
            copy.write("models/more.sql", "MODEL (name shop.more); SELECT 1 AS id")
            copy.plan().assert_only_executed("shop.more")

    def test_missing_seeds_are_named_by_the_users_path(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = with_seed(tmp_path / "shop", "../../data/y.csv")

        with pytest.raises(SandboxError) as error:
            with sandboxes(made.path):
                pass
        assert f"{tmp_path}/shop/models/../../data/y.csv" in str(error.value)


@pytest.mark.usefixtures("data")
def test_files_that_python_code_opens_outside_of_the_project_exist(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    made = project(tmp_path / "shop", LOCAL)
    made.write(
        "macros/names.py",
        """
        from pathlib import Path
        from sqlmesh import macro

        FILE = Path(__file__).parents[2] / "data" / "x.csv"
        NAME = FILE.read_text().splitlines()[1]

        @macro()
        def the_name(evaluator):
            return f"'{NAME}'"
        """,
    )
    made.model("shop.a", "SELECT @the_name() AS name")

    with sandboxes(made.path) as copy:
        assert copy.fetch("SELECT name FROM shop.a") == [("1,a",)]


@pytest.mark.long
def test_models_are_in_the_copy_with_their_neighbouring_files(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    made = project(tmp_path / "shop", LOCAL)
    made.write("models/names.txt", "Ada")
    made.write("audits/a.sql", "AUDIT (name none, standalone true); SELECT 1 AS id WHERE FALSE")
    made.model("shop.a", "SELECT 1 AS id")

    for _ in range(2):
        with sandboxes(made.path) as copy:
            nodes = (*copy.context.models.values(), *copy.context.standalone_audits.values())
            paths = {path for node in nodes if (path := node._path)}
            assert paths == {copy.path / "models" / "shop.a.sql", copy.path / "audits" / "a.sql"}
            assert (copy.path / "models" / "names.txt").read_text() == "Ada"
            copy.write("models/shop.b.sql", "MODEL (name shop.b); SELECT id FROM shop.a")
            assert all(m._path and m._path.is_file() for m in copy.context.models.values())
            copy.plan().assert_only_executed("shop.b")
