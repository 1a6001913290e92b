import numpy as np

from keras_faramtn.data.readers.splits import assign_splits, hold_out


def test_split_sizes_are_exact_with_one_image_per_person():
    for count in (3, 4, 10, 57, 200):
        tenth = max(1, round(count / 10))
        splits = assign_splits([f"p{n}" for n in range(count)])
        assert np.bincount(splits, minlength=3).tolist() == [count - 2 * tenth, tenth, tenth]


def test_two_images_are_both_for_training():
    assert assign_splits(["a", "b"]).tolist() == [0, 0]


def test_a_person_with_most_of_the_images_stays_in_training():
    people = ["frequent"] * 90 + [f"p{n}" for n in range(10)]
    held_out = hold_out(people)
    assert held_out.sum() == 10
    assert not held_out[:90].any()


def test_the_choice_does_not_depend_on_the_row_order():
    people = [f"p{n}" for n in np.random.default_rng(0).integers(0, 40, 120)]
    order = np.random.default_rng(1).permutation(120)
    np.testing.assert_array_equal(
        assign_splits([people[row] for row in order]), assign_splits(people)[order]
    )
