"""One thread does what is brought, in order; an error is its bringer's."""

from __future__ import annotations

import threading
import weakref

import pytest

from core.engine.lasting import Lasting


def test_all_of_it_on_one_thread_of_that_name() -> None:
    lasting = Lasting("model")
    threads = {lasting.run(threading.current_thread) for _ in range(3)}
    assert [each.name for each in threads] == ["model"]
    assert threads != {threading.current_thread()}
    lasting.close()
    (thread,) = threads
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit()], ids=repr)
def test_an_error_comes_back_and_the_thread_stays(error: BaseException) -> None:
    def fail() -> None:
        raise error

    lasting = Lasting("model")
    with pytest.raises(type(error)):
        lasting.run(fail)
    assert lasting.run(lambda: 2) == 2
    lasting.close()


def test_work_of_several_threads_is_never_done_at_the_same_time() -> None:
    lasting, inside, most = Lasting("model"), [0], []

    def work() -> None:
        inside[0] += 1
        most.append(inside[0])
        threading.Event().wait(0.001)
        inside[0] -= 1

    threads = [threading.Thread(target=lasting.run, args=(work,)) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most == [1] * 20
    lasting.close()


def test_what_was_brought_is_let_go_of() -> None:
    """A request holds gigabytes; the thread must not keep the last one until the next."""

    class Heavy:
        def __call__(self) -> int:
            return 1

    lasting, heavy = Lasting("model"), Heavy()
    held = weakref.ref(heavy)
    assert lasting.run(heavy) == 1
    assert lasting.run(lambda: 1) == 1  # so that the first one's turn is over
    del heavy
    assert held() is None
    lasting.close()
