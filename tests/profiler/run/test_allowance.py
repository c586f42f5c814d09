"""What a process and a user may make us hold: nothing of it is anybody else's."""

from __future__ import annotations

import gc

from profiler.run import allowance
from profiler.run.allowance import PROCESS_SHARE, USER_BYTES, Allowance, Allowances
from profiler.run.codes import CodeObjects
from symbolizers.errors import Reason
from symbolizers.frame import CodeObject, RawFrame
from tests.support.process_table import Table, raw_frame
from tests.support.samples import raw_sample

USER, OTHER = 1000, 1001


def filled(owner: Allowance, piece_bytes: int = 1 << 12) -> int:
    taken = 0
    while owner.take(piece_bytes):
        taken += piece_bytes
    return taken


def test_a_process_holds_a_share_of_what_its_user_may() -> None:
    allowances = Allowances()
    processes = [allowances.of_process(USER) for _ in range(3 * PROCESS_SHARE)]
    assert [filled(each) for each in processes[:PROCESS_SHARE]] == [USER_BYTES // 4] * PROCESS_SHARE
    assert [filled(each) for each in processes[PROCESS_SHARE:]] == [0] * (2 * PROCESS_SHARE)
    assert filled(allowances.of_process(OTHER)) == USER_BYTES // 4, "it pays for nobody else"
    assert filled(allowances.of_process(0)) > USER_BYTES, "root is trusted"
    processes[0].give_all_back()
    assert filled(processes[-1]) == USER_BYTES // 4


def test_users_who_hold_nothing_are_forgotten() -> None:
    allowances = Allowances()
    kept = allowances.of_process(USER)
    kept.take(1)
    for user in range(2000, 2000 + 2 * allowance._MOST_USERS):
        allowances.of_process(user)
    assert len(allowances._users) <= allowance._MOST_USERS + 1
    assert allowances.of_process(USER).above is kept.above


def frames(count: int) -> list[RawFrame]:
    return [raw_frame(number) for number in range(1, count + 1)]


def learn(codes: CodeObjects, count: int, *, name: str = "function") -> None:
    wanted = raw_sample(interpreter=tuple(frames(count)))
    keys, asked = codes.ask(codes.missing(wanted, {}))
    codes.learn(keys, [CodeObject("python", f"{name}_{each.checksum}", "app.py", 1) for each in asked])


def test_forks_share_what_their_parent_knew() -> None:
    allowances = Allowances()
    owner = allowances.of_process(USER)
    parent = CodeObjects(lines=False, allowance=owner)
    learn(parent, 9_900)
    assert owner.above is not None
    before = owner.above.used
    children = []
    for _ in range(100):
        child = CodeObjects(lines=False, allowance=allowances.of_process(USER))
        child.inherit(parent)
        assert child.missing(raw_sample(interpreter=tuple(frames(9_900))), {}) == []
        children.append(child)
    assert owner.above.used < before * 1.2
    for each in (parent, *children):
        each.close()
    del child, each
    children.clear()
    gc.collect()
    assert owner.above.used == 0


def test_names_without_an_end_cost_their_process_alone() -> None:
    table = Table()
    hostile, healthy = 8, 9
    for pid, uid in ((hostile, USER), (healthy, OTHER)):
        table.sample(1, pid=pid, uid=uid)
    table.questions.take_all()
    owner = table.allowances.of_process(USER)
    codes = CodeObjects(lines=False, allowance=owner)
    for at in range(0, 100_000, 1000):
        wanted = raw_sample(interpreter=tuple(raw_frame(number) for number in range(at + 1, at + 1001)))
        keys, asked = codes.ask(codes.missing(wanted, {}))
        codes.learn(keys, [CodeObject("python", "\U0001f600" * 500, "app.py", 1) for _ in asked])
    assert owner.used <= USER_BYTES // PROCESS_SHARE
    assert filled(table.allowances.of_process(OTHER)) > 0


def test_what_has_failed_does_not_grow() -> None:
    owner = Allowances().of_process(USER)
    codes = CodeObjects(lines=False, allowance=owner)
    for number in range(1, 100_000):
        keys, _ = codes.ask(codes.missing(raw_sample(interpreter=(raw_frame(number),)), {}))
        assert codes.learn(keys, [Reason.CHANGED])
    assert owner.used <= USER_BYTES // PROCESS_SHARE
    assert len(codes._failed) * 400 <= owner.used
