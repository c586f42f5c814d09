"""Ruby structures laid out from a layout row, as they should be; tests write lies over them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from symbolizers.layout import Row
from symbolizers.ruby.objects import IMEMO_ISEQ, IMEMO_METHOD, T_ARRAY, T_CLASS, T_STRING

SLOT_BYTES = 256
"""Every structure but a VM has a slot of its own."""
RACTOR_BYTES = THREAD_BYTES = FIBER_BYTES = 1024
EC_IN_FIBER = 80
LAST_ID = 300
CLASSPATH_ID = 200
"""The number; its id has scope bits below it."""
ENV_LOCAL = 2
MAGIC_METHOD, MAGIC_BLOCK, MAGIC_CFUNC = 0x1111_0001, 0x2222_0001, 0x5555_0001


class RubyHeap:
    """`content` is what lies at `base`. Methods put something there and give its address."""

    def __init__(self, row: Row, base: int, size_bytes: int) -> None:
        self.row = row
        self.base = base
        self.content = bytearray(size_bytes)
        self.used = 0
        self.symbols = self._symbols()

    def take(self, size_bytes: int = SLOT_BYTES) -> int:
        address = self.base + self.used
        self.used += -(-size_bytes // 64) * 64
        assert self.used <= len(self.content)
        return address

    def put(self, address: int, value: int, form: str = "<Q") -> None:
        struct.pack_into(form, self.content, address - self.base, value)

    def words(self, *values: int) -> int:
        address = self.take(8 * len(values))
        for index, value in enumerate(values):
            self.put(address + 8 * index, value)
        return address

    def fields(self, address: int, form: str = "<Q", **values: int) -> int:
        """Writes each named field that the row has."""
        for name, value in values.items():
            if self.row.has(name):
                self.put(address + self.row[name], value, form)
        return address

    def string(self, text: bytes) -> int:
        data = self.take(len(text))
        self.content[data - self.base : data - self.base + len(text)] = text
        address = self.words(T_STRING | 1 << self.row["string_heap_bit"], 0, 0, 0, 0)
        return self.fields(address, string_length=len(text), string_pointer=data)

    def array(self, values: Sequence[int]) -> int:
        address = self.words(T_ARRAY, 0, 0, 0, 0)
        return self.fields(address, array_length=len(values), array_pointer=self.words(*values))

    def klass(self, path: bytes) -> int:
        address = self.take()
        self.put(address, T_CLASS)
        name = self.string(path)
        if not self.row.has("class_ext"):
            return self.fields(address, class_path=name)  # writes nothing if the row lacks it
        entry = self.take()
        key = CLASSPATH_ID << self.row["id_scope_bits"]
        self.fields(entry, entry_hash=1, entry_key=key, entry_value=name)
        table = self.fields(self.take(), table_first=0, table_bound=1, table_entries=entry)
        return self.fields(address, class_ext=self.fields(self.take(), ext_variables=table))

    def method(self, owner: int) -> int:
        address = self.take()
        self.put(address, IMEMO_METHOD)
        definition = self.fields(self.take(), definition_id=CLASSPATH_ID << self.row["id_scope_bits"])
        return self.fields(address, method_definition=definition, method_owner=owner)

    def iseq(self, label: bytes, parent: int = 0) -> int:
        """The method ``run``, or, with a `parent`, a block in it."""
        address, body = self.take(), self.take()
        self.put(address, IMEMO_ISEQ)
        self.fields(address, iseq_body=body)
        kind = self.row["body_type_block" if parent else "body_type_method"]
        path = self.array([self.string("/tmp/ü.rb".encode()), self.string(b"/tmp/real.rb")])
        self.fields(body, "<I", body_type=kind, body_code_words=40, body_lines_count=2, body_first_line=15)
        self.fields(body, body_code=self.take(320), body_path=path, body_base_label=self.string(b"run"))
        self.fields(body, body_label=self.string(label), body_local_iseq=parent or address)
        self.fields(body, body_parent_iseq=parent)
        lines = self.take(64)
        for index, (line, position) in enumerate(((15, 0), (16, 3))):
            entry = lines + index * self.row["line_entry_size"]
            self.put(entry + self.row["line_entry_line"], line, "<i")
            self.fields(entry, "<I", line_entry_position=position)
        # one entry from position 0 on, both from 3 on: ranks 1 and 2, 7 bits each, 9 to a word
        ranks = [1 if position < 3 else 2 for position in range(45)]
        words = [sum(rank << 7 * at for at, rank in enumerate(ranks[n : n + 9])) for n in range(0, 45, 9)]
        self.fields(body, body_lines=lines, body_lines_index=self.words(*words))
        return address

    def frame(self, address: int, iseq: int, env: int) -> None:
        """A control frame: `env` is where its environment's last word is."""
        self.fields(address, frame_pc=self.base + 64 if iseq else 0, frame_iseq=iseq, frame_ep=env)

    def env(self, method: int, parent: int, flags: int) -> int:
        """An environment; its address is that of its flags, the last of its words."""
        return self.words(method, parent, flags) + 16

    def fiber(self, frames: int) -> int:
        """A fiber that has as many control frames."""
        row = self.row
        fiber, stack_bytes = self.take(FIBER_BYTES), frames * row["frame_size"]
        stack, ec = self.take(stack_bytes), fiber + EC_IN_FIBER
        self.fields(ec, ec_stack=stack, ec_stack_words=stack_bytes // 8, ec_frame=stack, ec_fiber=fiber)
        method = self.method(self.klass(b"Forged"))
        outer = self.iseq(b"run")
        inner = self.iseq(b"block in run", outer)
        method_env = self.env(method, 0, MAGIC_METHOD | ENV_LOCAL)
        block_env = self.env(0, method_env, MAGIC_BLOCK)
        cfunc_env = self.env(method, 0, MAGIC_CFUNC | ENV_LOCAL)
        kinds = ((outer, method_env), (0, cfunc_env), (inner, block_env))
        for index in range(frames):
            self.frame(stack + index * row["frame_size"], *kinds[index % 3])
        return fiber

    def vm(self, thread_id: int, *frames: int, ring: bool = False) -> int:
        """A VM with a ractor (where there are any) and a thread.

        It has a fiber for each of `frames`, with that many control frames. The first runs, and was resumed
        by the next, and so on; in a `ring` the last was resumed by the first.
        """
        row = self.row
        vm = self.take()
        ractor, thread, native = self.take(RACTOR_BYTES), self.take(THREAD_BYTES), self.take()
        node = thread + row["thread_node"]
        head = vm + row["vm_threads"] if row.has("vm_threads") else ractor + row["ractor_threads"]
        self.put(head, node)
        self.put(node, head)
        if row.has("vm_ractors"):
            self.put(vm + row["vm_ractors"], ractor + row["ractor_node"])
            self.put(ractor + row["ractor_node"], vm + row["vm_ractors"])
        if row["thread_native_is_pointer"]:
            self.fields(thread, thread_native=native)
            self.fields(native, native_id=thread_id)
        else:
            self.put(thread + row["thread_native"] + row["native_id"], thread_id)
        fibers = [self.fiber(count) for count in frames]
        self.fields(thread, thread_ec=fibers[0] + EC_IN_FIBER)
        for fiber, resumer in zip(fibers, [*fibers[1:], fibers[0] if ring else 0], strict=True):
            self.fields(fiber, fiber_prev=resumer)
        return vm

    def _symbols(self) -> int:
        """The table of ids: of its first block, which has those that are used here."""
        row = self.row
        block = [0] * (row["ids_per_block"] * row["ids_block_stride"])
        symbols = self.take()
        for number, name in ((ord("+"), b"+"), (CLASSPATH_ID, b"__classpath__")):
            block[number * row["ids_block_stride"]] = self.string(name)
        self.put(symbols + row["symbols_last_id"], LAST_ID, "<I")
        return self.fields(symbols, symbols_ids=self.array([self.array(block)]))
