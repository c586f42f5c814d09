"""One program of a process, between two execs: what is known about it, and its samples that wait for more.

A sample is handed on when each of its interpreter frames has a name or will never have one, or is dropped
with a reason. A code object that can't be read now is asked for again when it is next seen running, and at
the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from profiler.capture.records import Counts, RawSample, Repeated
from profiler.capture.wire import UserEnd, WalkStatus
from profiler.run.assembly import Parts, cut_in_generated, ends_in_generated, size_of
from profiler.run.codes import NOTHING_GONE, PLACEHOLDERS, CodeKey, CodeObjects, Gone, partial_of, reasons_of
from profiler.run.mappings import MappedCode
from profiler.run.stacks import Loop, Run
from profiler.run.states import ALIVE, TRANSITIONS, Happening, State
from profiler.run.surroundings import WHOLE_ONLY, Surroundings
from profiler.run.walkers import Walkers
from symbolizers.errors import Reason
from symbolizers.frame import CodeObject, RawFrame
from symbolizers.inspection import CodeMapping, FileKey, Inspection, generated_by
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Codes, Failed, Inspect, Inspected, ReadCodes
from symbolizers.taken import TakenName

_FAILED_WALKS: Mapping[int, Reason] = {
    WalkStatus.FAULT: Reason.WOULD_FAULT,
    WalkStatus.TORN: Reason.CHANGED,
}
_WALKED: Collection[int] = (WalkStatus.COMPLETE, WalkStatus.TRUNCATED)
_MOST_ASKED = 128
"""Code objects in one question: another process has its turn between two of them."""
_WHOLE_BYTES = 400
"""What it takes to count the equals of a stack without a look at them."""
_LEAST_WHOLE, _MOST_WHOLE = 256, 4096
"""So many stacks of one program are kept anyway, and at most; what is forgotten costs a look."""
_IDLE_NS = 60_000_000_000
"""A stack without a sample for so long may be forgotten."""
_FIRST_RETRY_NS = 1_000_000
_LAST_RETRY_NS = 5_000_000_000


_REFUSED = frozenset((Reason.PERMISSION, Reason.UNSUPPORTED, Reason.OVER_BUDGET))
"""The reasons for which a process can't be looked into; any other means that it was not, in time."""


_Waiting = tuple[RawSample, Gone]
"""A sample, and what it does not wait for any more."""


class Program:
    """A program of `process`, which it began to run at `began_ns` (on CLOCK_BOOTTIME).

    `over` is called when its process has exited and all answers about it have come. Its `state` moves as
    `TRANSITIONS` says, and by nothing else. `is_seen_from_its_start`: its exec was seen. An interpreter's own
    variables are on no page before it uses them, while the dynamic linker works: what runs then is native.
    """

    def __init__(
        self,
        process: ProcessId,
        start_ns: int,
        began_ns: int,
        surroundings: Surroundings,
        *,
        user: int,
        over: Callable[[Program], None],
        is_seen_from_its_start: bool = False,
    ) -> None:
        self.process = process
        self.user = user
        self.start_ns = start_ns
        self.began_ns = began_ns
        self.state = State.NEW
        self.why = Reason.EXITED
        self.is_seen_from_its_start = is_seen_from_its_start
        self._around = surroundings
        self._over = over
        self.is_known = False
        """Whether its mappings and interpreters were ever found."""
        self.code = MappedCode(surroundings.files, generated_by(process, user))
        self._walkers = Walkers(surroundings.configure, is_seen_from_its_start=is_seen_from_its_start)
        self._is_unsupported = False
        """Whether it has an interpreter in it that no layout describes."""
        self._allowance = surroundings.allowances.of_process(user)
        self._codes = CodeObjects(lines=surroundings.lines, allowance=self._allowance)
        self._loops: tuple[Loop, ...] = ()
        """The evaluation loops of its interpreters."""
        self._whole: dict[bytes, Counts] = {}
        """Counts samples with a stack that was handed on whole, as long as its addresses mean the same."""
        self._whole_limit = _LEAST_WHOLE
        """With so many of them, the idle ones are forgotten."""
        self._open_questions = 0
        self._waiting: dict[CodeKey, list[_Waiting]] = {}
        self._unplaced: list[_Waiting] = []
        self._look_again_ns = 0
        self._retry_ns = _FIRST_RETRY_NS

    @property
    def has_interpreters(self) -> bool:
        """Whether the worker holds something for it."""
        return bool(self._walkers.interpreters)

    def sample(self, sample: RawSample) -> None:
        """Takes in one sample, at once or later: it is handed on, waits for an answer, or is dropped."""
        if self._may_be_deferred(sample):
            self._around.deferred.put(sample, size_of(sample), self._take_with)
        else:
            self._take(sample)

    def _may_be_deferred(self, sample: RawSample) -> bool:
        """Whether `sample` is whole and all of it is known: there is nothing to learn, and nothing to ask."""
        around = self._around
        if not (around.deferred.is_used and sample.stack and self.state is State.KNOWN):
            return False
        if sample.user_end != UserEnd.ROOT or sample.lacks_table or sample.walk_status not in _WALKED:
            return False
        if self._is_unsupported or self.code.lacks_files() or not around.allowances.is_trusted(sample.uid):
            return False
        code = self.code.map()
        if not (self._walkers.walked(sample) and code.is_of_files):
            return False
        files = code.new_files(sample.user)
        if files is None or self._codes.missing(sample, NOTHING_GONE):
            return False
        return not around.deferred.notice(files)

    def _take_with(self, sample: RawSample, equal: Sequence[Repeated]) -> None:
        """Takes in a sample that does not wait any more, and those that equal it."""
        self._take(sample)
        for repeated in equal:
            if not self.again(repeated):
                for each in repeated.samples():
                    self._take(each)

    def _take(self, sample: RawSample) -> None:
        sample = self._walkers.own(sample)
        if self._walkers.saw(sample):
            self.configure_again()
        if sample.walk_status == WalkStatus.ROOT_FAULT:
            status = WalkStatus.FAULT if self._walkers.had_begun(sample) else WalkStatus.COMPLETE
            sample = replace(sample, walk_status=status)
        failure = _FAILED_WALKS.get(sample.walk_status)
        # Structures that contradict themselves say nothing that is worth a part of a stack.
        if failure is Reason.CHANGED or failure in self._around.costly:
            self._around.drop(sample, failure)
            self._blame(sample, NOTHING_GONE)
        else:
            self._place(sample)
        # The walker may still know an earlier program, if its exec came before anyone listened.
        if failure is not None and sample.time_ns >= self._look_again_ns:
            self.look(sample.time_ns)

    def again(self, repeated: Repeated) -> bool:
        """Counts these, if a sample with their stack was handed on whole; else returns False."""
        counts = self._whole.get(repeated.stack)
        if counts is None:
            return self._around.deferred.again(repeated)
        repeated.known.counts = counts
        counts.again(repeated)
        return True

    def name(self, name: TakenName) -> None:
        """Takes in what the kernel took of a code object; samples that waited for it are handed on."""
        key = self._codes.take(name)
        if key is not None:
            self._place_again(self._waiting.pop(key, []))

    def look(self, now_ns: int) -> None:
        """Asks the worker to look at the program, unless it does already or there is nothing to look at."""
        if (self.state, Happening.LOOK) in TRANSITIONS:
            self._step(Happening.LOOK)
            self._look_again_ns = now_ns + self._retry_ns
            self._retry_ns = min(self._retry_ns * 2, _LAST_RETRY_NS)
            self._open_questions += 1
            question = Inspect(self.process.pid, self.process.start_ticks)
            self._around.ask(question, self._looked, user=self.user, soon=True)

    def found(self, inspection: Inspection) -> None:
        """Takes in what the worker found."""
        self._around.deferred.take_in_all_of(self.process)
        self.code.found(inspection)
        self._is_unsupported = bool(inspection.unsupported)
        self.configure()
        for note in inspection.notes:
            self._around.note(self.process, note)
        self._know()

    def told(self, mappings: Iterable[CodeMapping]) -> None:
        """Takes in what the kernel tells of its mappings, which is all of them since its exec."""
        self._around.deferred.take_in_all_of(self.process)
        self.code.is_told = True
        for mapping in mappings:
            self.code.tell(mapping)
            for note in self._around.files.notes(mapping):
                self._around.note(self.process, note)
        self.configure()

    def learn_of(self, file: FileKey) -> None:
        """Something was learnt about a file, which it may have mapped."""
        if self.code.waits_for(file):
            self.code.lacks_files()
            self.configure()

    def configure(self) -> None:
        """Tells the kernel which interpreters run, where it does not know yet. Code may lie elsewhere now."""
        self.renamed()
        if self.code.interpreters != self._walkers.interpreters:
            self._around.runs(self.process, self.code.interpreters)
        self._walkers.configure(self.process.pid, self.start_ns, self.code.interpreters, user=self.user)
        self._loops = tuple(
            Loop(each.language, *part)
            for each in self._walkers.interpreters
            for part in (each.loop, each.cold_loop)
        )

    def renamed(self) -> None:
        """Its addresses mean something else now: samples that equal earlier ones are looked at again."""
        self._around.deferred.take_in_all_of(self.process)
        self._allowance.give_back(_WHOLE_BYTES * len(self._whole))
        for counts in self._whole.values():
            counts.close()
        self._whole.clear()

    def configure_again(self) -> None:
        """The same, whether it knows or not."""
        self._walkers.configure_again(self.process.pid, self.start_ns, user=self.user)

    def inherit(self, parent: Program) -> None:
        """Takes over what is known about `parent`: a fork goes on with its parent's program.

        Many forks are over before they can be looked at.
        """
        if self.state is not State.NEW or parent.began_ns > self.start_ns:
            return
        self.code = parent.code.copy(generated_by(self.process, self.user, parent.process.pid))
        self._codes.inherit(parent._codes)
        self._walkers.inherit(parent._walkers)
        self.configure()
        if parent.is_known or parent.code.is_whole():
            self._know()

    def exited(self) -> None:
        """Its process has exited; all its samples have come."""
        self._around.tables.forget(self.process)
        if self.state is State.OVER:
            self._over(self)
        else:
            self._step(Happening.EXIT)
            self._end_if_answered()

    def end(self, why: Reason) -> None:
        """Settles every sample that waits: nothing more will be learnt, because of `why`."""
        if self.state is State.OVER:
            return
        self._around.deferred.take_in_all_of(self.process)
        has_exited = self.state is State.EXITED
        self._step(Happening.END)
        self.why = why
        for waiting in self._waiting.values():
            self._place_again(waiting)
        self._waiting.clear()
        self._place_again(self._unplaced)
        self._note_names()
        if has_exited:
            self._over(self)

    def close(self) -> None:
        """Nothing more will come of it: gives back what it holds."""
        self.renamed()
        self._codes.close()
        self._around.tables.forget(self.process)

    def retry(self) -> None:
        """Asks once more for everything that could not be read."""
        if self.state in ALIVE:
            self._ask(self._waiting)

    def _note_names(self) -> None:
        if self._codes.renamed:
            self._around.note(
                self.process,
                f"{self._codes.renamed} functions had another name later than when they were first seen",
            )

    def _step(self, happening: Happening) -> None:
        self.state = TRANSITIONS.get((self.state, happening), self.state)

    def _know(self) -> None:
        self.is_known = True
        self._step(Happening.FOUND)
        self._place_again(self._unplaced)

    def _looked(self, answer: Inspected | Failed) -> None:
        if self.state is State.OVER:
            return
        self._open_questions -= 1
        if isinstance(answer, Inspected):
            self.found(answer.inspection)
        else:
            if answer.reason is Reason.OVER_BUDGET:
                self._around.note(self.process, f"it can't be looked into: {answer.detail}")
            self.end(answer.reason)
        self._end_if_answered()

    def _place(self, sample: RawSample, gone: Gone = NOTHING_GONE) -> None:
        """Hands `sample` on if nothing more is to be learnt for it, else lets it wait for the answer."""
        if self.state is State.OVER and self.why is Reason.STALLED:
            self._around.drop(sample, Reason.STALLED)
            return
        may_ask = self.state in ALIVE
        if may_ask and not self.is_known and self.code.is_whole():
            self._know()
        if may_ask and not self.is_known:
            self._wait_to_be_placed(sample, gone)
            return
        if may_ask and not self._knows_place(sample) and sample.time_ns >= self._look_again_ns:
            self._wait_to_be_placed(sample, gone)
            return
        if may_ask and self.code.lacks_files() and sample.time_ns >= self._look_again_ns:
            self.look(sample.time_ns)
        missing = self._codes.missing(sample, gone)
        if missing and may_ask and not self._codes.is_full:
            if self._holds(sample):
                self._waiting.setdefault(missing[0], []).append((sample, gone))
            self._ask(missing)
        else:
            otherwise = Reason.OVER_BUDGET if may_ask else self.why
            why = {key: self._codes.why(key, otherwise) for key in missing}
            lost = {key: reason for key, reason in why.items() if not self._codes.fall_back(key, reason)}
            self._settle(sample, {**gone, **lost} if lost else gone)

    def _settle(self, sample: RawSample, gone: Gone) -> None:
        """Hands `sample` on, or drops it if something that it lacks costs all of it."""
        unseen = self._unseen(sample)
        costly = [reason for reason in reasons_of(sample, gone) if reason in self._around.costly]
        # A stack of which nobody knows what it lacks stays, unless only whole ones are wanted.
        if unseen is not None and self._around.costly == WHOLE_ONLY:
            costly.append(unseen)
        if costly:
            self._around.drop(sample, costly[0])
        else:
            self._hand_on(sample, gone, unseen)
        if gone:
            self._blame(sample, gone)

    def _blame(self, sample: RawSample, gone: Gone) -> None:
        function = self._codes.beside(sample, gone)
        if function is not None:
            self._around.blame(self.process, function)

    def _wait_to_be_placed(self, sample: RawSample, gone: Gone) -> None:
        if self._holds(sample):
            self._unplaced.append((sample, gone))
        self.look(sample.time_ns)

    def _holds(self, sample: RawSample) -> bool:
        """Whether there is room for `sample` to wait; otherwise it is dropped."""
        has_room = self._allowance.take(size_of(sample))
        if not has_room:
            self._around.drop(sample, Reason.OVER_BUDGET)
        return has_room

    def _knows_place(self, sample: RawSample) -> bool:
        """Whether the instruction that ran lies in a mapping that was found; none did in a kernel thread."""
        return not sample.user or self.code.map().level(sample.user[0]) is not None

    def _unseen(self, sample: RawSample) -> Reason | None:
        """Why frames of `sample` may be missing, where nobody has looked at its place or its program."""
        is_known = self.is_known or self.code.interpreters or not self.code.lacks_files()
        if self._walkers.lacks_walk(sample):
            return Reason.NOT_INSPECTED
        if self._is_unsupported and sample.user:
            return Reason.UNSUPPORTED
        if not sample.user or (is_known and self._knows_place(sample)):
            return None
        return self.why if self.why in _REFUSED else Reason.NOT_INSPECTED

    def _hand_on(self, sample: RawSample, gone: Gone, unseen: Reason | None) -> None:
        runs = self._codes.runs(sample, gone)
        if sample.walk_status == WalkStatus.FAULT:
            runs.append(Run("", (PLACEHOLDERS[Reason.WOULD_FAULT],)))
        loops = self._loops if sample.interpreter else ()
        parts = Parts(runs, self.code.map(), loops, unseen, partial_of(sample, gone, unseen))
        if not sample.lacks_table:
            self._emit(sample, parts)
            return

        def followed(found: RawSample) -> None:
            was_over = self.state is State.OVER
            self._emit(found, parts)
            self._open_questions -= 1
            self._end_if_answered()
            if was_over and self.why is Reason.EXITED:  # what was said before holds for this one, too
                self._around.ended(self.process)

        now = self._around.tables.follow(sample, parts.code, self.user, followed)
        if now is None:
            self._open_questions += 1
        else:
            self._emit(now, parts)

    def _emit(self, sample: RawSample, parts: Parts) -> None:
        sample = cut_in_generated(sample, parts.code)
        counts = self._around.emit(sample, parts.elements(sample), parts.lacks)
        asks = self.state in ALIVE and ends_in_generated(sample, parts.code)
        if asks and self._around.tables.lacks_generated(self.process, self.user):
            return
        if len(self._whole) >= self._whole_limit:
            self._forget_idle(sample.time_ns)
        if self.state is State.OVER:  # it has waited, and nothing more comes after it
            return
        is_new = bool(sample.stack) and sample.stack not in self._whole
        if counts is not None and parts.lacks is None and is_new and self._allowance.take(_WHOLE_BYTES):
            self._whole[sample.stack] = counts

    def _forget_idle(self, now_ns: int) -> None:
        """Forgets the stacks that had no sample for long, and all where the others are too many."""
        for stack, counts in [*self._whole.items()]:
            if counts.last_ns < now_ns - _IDLE_NS:
                counts.close()
                del self._whole[stack]
                self._allowance.give_back(_WHOLE_BYTES)
        if len(self._whole) >= _MOST_WHOLE:
            self.renamed()
        self._whole_limit = min(max(_LEAST_WHOLE, 2 * len(self._whole)), _MOST_WHOLE)

    def _ask(self, missing: Iterable[CodeKey]) -> None:
        keys, frames = self._codes.ask(missing)
        for at in range(0, len(keys), _MOST_ASKED):
            self._ask_for(keys[at : at + _MOST_ASKED], frames[at : at + _MOST_ASKED])

    def _ask_for(self, keys: Sequence[CodeKey], frames: tuple[RawFrame, ...]) -> None:
        self._open_questions += 1

        def read(answer: Codes | Failed) -> None:
            self._read(keys, answer)

        self._around.ask(ReadCodes(self.process, frames), read, user=self.user, soon=True)

    def _read(self, keys: Sequence[CodeKey], answer: Codes | Failed) -> None:
        if self.state is State.OVER:
            return
        self._open_questions -= 1
        if isinstance(answer, Codes):
            found: tuple[CodeObject | Reason, ...] = answer.found
        elif answer.reason is Reason.OVER_BUDGET:  # it costs these names alone
            found = (answer.reason,) * len(keys)
        else:
            self.end(answer.reason)
            return
        failed = self._codes.learn(keys, found)
        gone = {key: reason for key, reason in failed.items() if reason is not Reason.WOULD_FAULT}
        answered, others = keys[: len(found)], keys[len(found) :]
        self._ask(others if answered else ())
        for key in answered:
            if key in gone or key not in failed:
                self._place_again(self._waiting.pop(key, []), gone)
        self._end_if_answered()

    def _end_if_answered(self) -> None:
        if self.state is State.EXITED and not self._open_questions:
            self.end(Reason.EXITED)

    def _place_again(self, waiting: list[_Waiting], gone: Gone = NOTHING_GONE) -> None:
        """Places samples that waited anew, without what is `gone` now, and empties the list."""
        samples, waiting[:] = waiting[:], []
        for sample, before in samples:
            self._allowance.give_back(size_of(sample))
            self._place(sample, {**before, **gone} if gone else before)
