import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.ownership import MARKER_FILE, mark_files, owned_folder, refuse_other_files


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_a_run_is_accepted_again_by_the_same_kind_only(tmp_path):
    folder = tmp_path / "deep" / "run"
    with owned_folder(folder, "training run"):
        (folder / "history.csv").write_text("loss")
    with owned_folder(folder, "training run"):
        pass
    assert _names(folder) == [MARKER_FILE, "history.csv"]
    with (
        pytest.raises(InputError, match="run: it already exists, and is not the folder of a comp"),
        owned_folder(folder, "comparison"),
    ):
        pass


@pytest.mark.parametrize("marker", [None, "", "[]", "{", '{"kind": "training run"}', b"\xff"])
def test_a_folder_of_the_user_is_refused(tmp_path, marker):
    (tmp_path / "recipe.yaml").write_text("mine")
    if isinstance(marker, bytes):
        (tmp_path / MARKER_FILE).write_bytes(marker)
    elif marker is not None:
        (tmp_path / MARKER_FILE).write_text(marker)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with (
        pytest.raises(InputError, match="is not the folder of a training run that faramtn created"),
        owned_folder(tmp_path, "training run"),
    ):
        pass
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_block_that_writes_nothing_leaves_no_marker(tmp_path):
    with pytest.raises(KeyboardInterrupt), owned_folder(tmp_path / "run", "training run"):
        raise KeyboardInterrupt
    assert _names(tmp_path / "run") == []


def test_one_process_at_a_time_owns_a_folder(tmp_path):
    with (
        owned_folder(tmp_path, "training run"),
        pytest.raises(InputError, match="another process is writing to it"),
        owned_folder(tmp_path, "training run"),
    ):
        pass


@pytest.fixture
def marked(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "empty").mkdir()
    (tmp_path / "model" / "weights").write_text("1 2 3")
    mark_files(tmp_path, "export")
    refuse_other_files(tmp_path, "export")
    return tmp_path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "thesis.txt").write_text("mine"), "thesis.txt"),
        (lambda folder: (folder / "model" / "notes").mkdir(), "model/notes"),
        (lambda folder: (folder / "model" / "weights").write_text("9"), "model/weights"),
        (lambda folder: (folder / "link").symlink_to("model"), "link"),
        (lambda folder: (folder / "model" / "empty" / "x").write_text("mine"), "model/empty/x"),
    ],
)
def test_added_or_changed_files_are_named(marked, change, named):
    change(marked)
    with pytest.raises(InputError, match=f"{marked}: {named}: added or changed after the export"):
        refuse_other_files(marked, "export")


def test_a_folder_without_a_list_of_files_is_not_replaced(tmp_path):
    with owned_folder(tmp_path, "training run"):
        (tmp_path / "model.keras").write_text("")
    with pytest.raises(InputError, match="this is not an earlier export"):
        refuse_other_files(tmp_path, "export")
