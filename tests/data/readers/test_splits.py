import numpy as np

from keras_faramtn.data.readers.splits import assign_splits, hold_out


def test_shares_are_exact_where_everyone_has_one_image():
    for count in (3, 4, 10, 57, 200):
        tenth = max(1, round(count / 10))
        splits = assign_splits([f"p{n}" for n in range(count)])
        assert np.bincount(splits, minlength=3).tolist() == [count - 2 * tenth, tenth, tenth]


def test_two_images_are_for_training():
    assert assign_splits(["a", "b"]).tolist() == [0, 0]


def test_one_who_has_most_images_stays_in_training():
    people = ["much photographed"] * 90 + [f"p{n}" for n in range(10)]
    held_out = hold_out(people)
    assert held_out.sum() == 10
    assert not held_out[:90].any()


def test_a_choice_does_not_hang_on_the_order_of_the_rows():
    people = [f"p{n}" for n in np.random.default_rng(0).integers(0, 40, 120)]
    order = np.random.default_rng(1).permutation(120)
    np.testing.assert_array_equal(
        assign_splits([people[row] for row in order]), assign_splits(people)[order]
    )
