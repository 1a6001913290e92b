import os
import threading
import time

import pytest

from keras_faramtn.threads import allowed_cores, available_cores, map_ahead


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has affinities")
def test_the_affinity_and_the_environment_limit_the_cores(monkeypatch):
    allowed = os.sched_getaffinity(0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert available_cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == allowed_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    limits = {"1": 1, "1000000": len(allowed), "0": len(allowed), "many": len(allowed)}
    for limit, expected in limits.items():
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert available_cores() == expected
        assert allowed_cores() == len(allowed)


def test_results_keep_the_order_of_their_items():
    def slow(item):
        time.sleep(0.01 * (item % 3))
        return item * item

    assert list(map_ahead(slow, range(20), limit=5)) == [item * item for item in range(20)]
    assert list(map_ahead(slow, [], limit=5)) == []


@pytest.mark.parametrize("size", [0, 1, 7])
def test_no_item_is_taken_while_the_results_are_large_enough(size):
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    results = map_ahead(lambda item: item, items(), limit=10, size=lambda result: size)
    for count in range(1, 4):
        next(results)
        time.sleep(0.1)
        if size:
            at_once = 2 * max(4, available_cores())
            assert len(taken) <= count + -(-10 // size) + at_once
    results.close()


def test_threads_work_while_the_caller_does():
    done = threading.Semaphore(0)
    results = map_ahead(lambda item: done.release(), range(30), limit=30)
    next(results)
    for _ in range(30):
        assert done.acquire(timeout=5)


def test_errors_are_raised_and_stop_the_work():
    done = []

    def work(item):
        if item == 3:
            raise ZeroDivisionError
        done.append(item)
        return item

    results = map_ahead(work, range(1000), limit=5)
    with pytest.raises(ZeroDivisionError):
        list(results)
    time.sleep(0.1)
    assert len(done) < 100
