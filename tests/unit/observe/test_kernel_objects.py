import errno
import random

import pytest

from ramet._kernel import kcmp
from ramet.observe.kernel_objects import Users

KIND = 2


class Kernel:
    """Tasks and the objects that they use; an object is its address. Counts how often it is asked."""

    def __init__(self, objects: dict[int, int]) -> None:
        self.objects = objects
        self.asked = 0

    def order(self, first: int, second: int, kind: int) -> int:
        assert kind == KIND
        self.asked += 1
        if first not in self.objects or second not in self.objects:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        one, other = self.objects[first], self.objects[second]
        return 0 if one == other else 1 if one < other else 2


def kernel_with(objects: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(objects)
    monkeypatch.setattr(kcmp, "order", made.order)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_tasks_with_one_object_are_one_group(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks are in one group exactly when they use the same object, in the order in which they came."""
    numbers = random.Random(seed)
    objects = {task: numbers.randrange(30) for task in range(1, 101)}
    kernel_with(objects, monkeypatch)
    users = Users(KIND)
    for task in objects:
        users.add(task, likely=numbers.randrange(1, 101))
    for task, used in objects.items():
        assert users.group(task) == [other for other in objects if objects[other] == used]


def test_a_thousand_objects_are_few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order makes it n log n questions: each two of a thousand would be half a million."""
    addresses = random.Random(1).sample(range(10**6), 1000)
    kernel = kernel_with(dict(enumerate(addresses, 1)), monkeypatch)
    users = Users(KIND)
    for task in kernel.objects:
        users.add(task)
    assert kernel.asked <= 1000 * 10


def test_a_thread_is_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that uses what its process uses is compared with that first."""
    kernel = kernel_with(dict.fromkeys(range(1000), 7) | {1: 5, 2: 9}, monkeypatch)
    users = Users(KIND)
    for task in (1, 2, 3):
        users.add(task)
    kernel.asked = 0
    for task in range(4, 1000):
        users.add(task, likely=3)
    assert kernel.asked == 996
    assert users.group(500)[:2] == [3, 4]


def test_tasks_that_end_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another of their group stands for it, and a group of which none is left is no more."""
    kernel = kernel_with({1: 10, 2: 20, 3: 20, 4: 30, 5: 20, 6: 10}, monkeypatch)
    users = Users(KIND)
    for task in (1, 2, 3, 4):
        users.add(task)
    del kernel.objects[2]
    users.add(5)
    assert users.group(5) == [2, 3, 5]
    del kernel.objects[1]
    users.add(6)
    assert users.group(6) == [6]


def test_a_task_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two that are compared, the error is about the new one, and it is in no group."""
    kernel_with({1: 10}, monkeypatch)
    users = Users(KIND)
    users.add(1)
    for empty_or_not in (users, Users(KIND)):
        with pytest.raises(ProcessLookupError):
            empty_or_not.add(2)
    assert users.group(2) == []
    assert users.group(1) == [1]


def test_a_task_that_gives_up_its_object_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was alone with one, and has none by now, is the first of those that have none."""
    kernel = kernel_with({1: 50, 2: 0, 3: 10, 4: 0, 5: 60}, monkeypatch)
    users = Users(KIND)
    for task in kernel.objects:
        users.add(task)
    kernel.objects[1] = 0
    users.look_again_for(1)
    assert users.group(1) == users.group(2) == users.group(4) == [1, 2, 4]
    assert (users.group(3), users.group(5)) == ([3], [5])
    users.look_again_for(1)
    assert users.group(4) == [1, 2, 4]
