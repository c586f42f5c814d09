# frozen_string_literal: true

# Three methods that share this process's CPU time 60/30/10, called DEPTH frames deep, through blocks and C
# functions. The arguments and the handshake are those of split.py and handshake.py.

require "io/wait"
require "json"
require "optparse"

# Burns CPU in three ways; every method answers the nanoseconds of its thread's CPU clock that it took.
class Splitter
  SHARES = { heavy_share: 0.6, medium_share: 0.3, light_share: 0.1 }.freeze
  UNIT_ROUNDS = 500
  MOST_UNITS = 300
  LETTERS = ("a".."z").to_a.join * 280

  def thread_ns
    Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID, :nanosecond)
  end

  # A loop, no block, no call.
  def heavy_share(units)
    began_ns = thread_ns
    left = units * UNIT_ROUNDS
    total = 0
    while left.positive?
      total += left & 7
      left -= 1
    end
    thread_ns - began_ns
  end

  # A block called by a C function.
  def medium_share(units)
    began_ns = thread_ns
    total = 0
    (units * UNIT_ROUNDS).times { |number| total += number & 7 }
    thread_ns - began_ns
  end

  # A C function, from a block, for nearly all of the time.
  def light_share(units)
    began_ns = thread_ns
    units.times { LETTERS.tr("a-y", "b-z").squeeze }
    thread_ns - began_ns
  end

  def descend(depth, &burner)
    return burner.call if depth <= 1

    descend(depth - 1, &burner)
  end

  # Like `descend`, but each of the `depth` frames is of another method. Returns the name of the outermost.
  def different_ways_down(depth)
    self.class.class_eval("def way_1 = yield", __FILE__)
    (2..depth).each { |level| self.class.class_eval("def way_#{level}(&burner) = way_#{level - 1}(&burner)", __FILE__) }
    :"way_#{depth}"
  end

  # Burns `goal` (CPU nanoseconds, or units). Returns the nanoseconds that each method really took. The one
  # furthest behind goes next; turns are of random length, so that no sampling rate can keep step with them.
  def split(goal, by_clock:, depth:, different:)
    down = different ? [different_ways_down(depth)] : [:descend, depth]
    chance = Random.new(20)
    spent_ns = SHARES.transform_values { 0 }
    done = SHARES.transform_values { 0 }
    progress = by_clock ? spent_ns : done
    while progress.values.sum < goal
      name = SHARES.keys.min_by { |key| progress[key] / SHARES[key] }
      units = chance.rand(1..MOST_UNITS)
      spent_ns[name] += __send__(*down) { public_send(name, units) }
      done[name] += units
    end
    spent_ns
  end
end

def warm_up_until_go
  10_000.times { |number| number } until $stdin.wait_readable(0)
  $stdin.gets
end

def process_ns
  Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond)
end

options = { depth: 40 }
OptionParser.new do |parser|
  parser.on("--cpu-seconds S", Float) { |seconds| options[:cpu_seconds] = seconds }
  parser.on("--units N", Integer) { |units| options[:units] = units }
  parser.on("--depth N", Integer) { |depth| options[:depth] = depth }
  parser.on("--different") { options[:different] = true }
  parser.on("--warm-up") { options[:warm_up] = true }
end.parse!
by_clock = options.key?(:cpu_seconds)
goal = by_clock ? (options[:cpu_seconds] * 1e9).to_i : options.fetch(:units)

$stdout.sync = true
puts "ready"
options[:warm_up] ? warm_up_until_go : $stdin.gets
began_ns = process_ns
spent_ns = Splitter.new.split(goal, by_clock: by_clock, depth: options[:depth], different: options[:different])
total_ns = process_ns - began_ns
puts JSON.generate(pids: [Process.pid], cpu_s: spent_ns.transform_values { |ns| ns / 1e9 }, total_cpu_s: total_ns / 1e9)
$stdin.read
