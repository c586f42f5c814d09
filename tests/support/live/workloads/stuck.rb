# frozen_string_literal: true

# What stuck.py is for Python, with the same arguments: one thread burns CPU in C, without the GVL, inside of
# stuck_burner, while the page with --part of it goes away and the main thread waits for it.

require "fiddle"
require "json"
require "objspace"
require "optparse"

PAGE = 4096
BIG = 1 << 18
DATA = 32 # where an object of C keeps its structure: struct RTypedData
VM = 32 # struct rb_thread_struct (3.0 and later): after a list node, the object and the ractor
POINTER = Fiddle::TYPE_VOIDP
NUMBER = Fiddle::TYPE_INT

options = { by: nil, part: "iseq", offsets: {}, file: "", backing: "", times: [8000, 400_000] }
OptionParser.new do |parser|
  parser.on("--library FILE") { |file| options[:library] = file }
  parser.on("--by HOW") { |how| options[:by] = how }
  parser.on("--part PART") { |part| options[:part] = part }
  parser.on("--offsets ROW") { |row| options[:offsets] = JSON.parse(row) }
  parser.on("--file FILE") { |file| options[:file] = file }
  parser.on("--backing FILE") { |file| options[:backing] = file }
end.parse!

LIBRARY = Fiddle.dlopen(options.fetch(:library))

# A function of stuck.c; Fiddle lets go of the GVL around it.
def c_function(name, arguments, result = NUMBER)
  Fiddle::Function.new(LIBRARY[name], arguments, result)
end

# The 8 bytes at `address` of our own memory.
def word(address)
  Fiddle::Pointer.new(address)[0, 8].unpack1("Q")
end

# Where `part` of what `thread` runs begins, which is the method `name`; for its thread structure, where the
# part that walks read begins. It may begin in the last bytes of a page, of which a walk then needs none.
def address_of(part, thread, name, row)
  state = word(Fiddle.dlwrap(thread) + DATA)
  wrapper = RubyVM::InstructionSequence.of(method(name))
  iseq = JSON.parse(ObjectSpace.dump(wrapper)).fetch("references").first.to_i(16)
  body = word(iseq + row["iseq_body"])
  case part
  when "code" then body
  when "lines" then word(body + row["body_lines"])
  when "name" then word(word(body + row["body_label"]) + row["string_pointer"])
  when "thread" then state + row["thread_ec"]
  when "frame" then word(word(state + row["thread_ec"]) + row["ec_frame"])
  when "vm" then word(state + VM)
  when "iseq" then iseq
  else raise ArgumentError, part
  end
end

name = :"stuck_burner#{"r" * (options[:part] == "name" ? BIG : 0)}"
padding = "    times = times.succ\n" * (options[:part] == "lines" ? BIG / 16 : 1)
eval(<<~METHOD, binding, "stuck_made.rb")
  def #{name}(burn, times)
    burn.call(*times)
    return if times
  #{padding}
  end
METHOD

burn = c_function("stuck_burn", [NUMBER, NUMBER], Fiddle::TYPE_VOID)
stop = c_function("stuck_stop", [], Fiddle::TYPE_VOID)
wait = {
  "userfault" => ["stuck_on_userfault", [POINTER]],
  "file" => ["stuck_on_file", [POINTER, POINTER, POINTER]],
  "lock" => ["stuck_under_mmap_lock", [POINTER]],
  "nothing" => ["stuck_nowhere", []]
}.fetch(options[:by])
arguments = options[:by] == "lock" ? [options[:file]] : [options[:file], options[:backing]]
burner = Thread.new { send(name, burn, options[:times]) }
c_function("stuck_await_burning", [], Fiddle::TYPE_VOID).call
waiting = c_function(*wait)
$stdout.sync = true
if %w[userfault file].include?(options[:by])
  address = address_of(options[:part], burner, name, options[:offsets]) & -PAGE
  arguments = options[:by] == "file" ? [address, *arguments] : [address]
end
failed = waiting.call(*arguments.first(wait[1].size))
stop.call
burner.join
puts JSON.generate(pids: [Process.pid], cpu_s: {}, total_cpu_s: Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID),
                   failed: failed, name: name[0, 12])
$stdin.read
