# C code calls back: libc's qsort compares by a Ruby block.
require "fiddle"

COMPARE = Fiddle::Closure::BlockCaller.new(Fiddle::TYPE_INT, [Fiddle::TYPE_VOIDP, Fiddle::TYPE_VOIDP]) do |a, b|
  compare(a[0, 4].unpack1("l"), b[0, 4].unpack1("l"))
end
QSORT = Fiddle::Function.new(
  Fiddle::Handle::DEFAULT["qsort"],
  [Fiddle::TYPE_VOIDP, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_VOIDP],
  Fiddle::TYPE_VOID
)

def inmost(a, b)
  total = 0
  300.times { |number| total += number }
  a - b
end

def compare(a, b)
  inmost(a, b)
end

def sort_in_c
  numbers = (0...64).map { |number| number * 37 % 64 }
  QSORT.call(Fiddle::Pointer[numbers.pack("l*")], 64, 4, COMPARE)
end

stop = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) + 3
sort_in_c while Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) < stop
