# Programs for every Ruby from 2.7 on: modes.rb MODE SECONDS [RUBY]. Each burns CPU in methods that say what they are.

require "json"
require "zlib"

NOISE = Random.new(20).bytes(1 << 20)

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def spin(until_s)
  number = 0
  1000.times { number += 1 } while now < until_s
end

def compressing(until_s)
  Zlib.deflate(NOISE, 9) while now < until_s
end

# It pauses, because otherwise 3.4 gives no other thread a turn.
def spinning(until_s)
  while now < until_s
    spin(now + 0.02)
    sleep 0.001
  end
end

def in_the_first(seconds)
  spin(now + seconds)
end

def in_the_second(seconds)
  spin(now + seconds)
end

def resumed(seconds)
  spin(now + seconds)
end

def allocating(until_s)
  Array.new(1000) { +"short-lived" } while now < until_s
end

def in_the_child(seconds)
  spin(now + seconds)
end

def at_once(seconds)
  spin(now + seconds)
end

module Tools
  # Says where it is called from, and burns on the very line that the answer names.
  class Leaf
    def self.burn(until_s)
      number = 0
      puts(JSON.generate(caller_locations(0).map { |l| [l.label, l.path, l.lineno] })); number += 1 while now_s < until_s
    end

    def self.now_s
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    define_method(:made) { |until_s| [until_s].each { |value| Leaf.burn(value) } }
  end

  module_function

  def rescued(until_s)
    raise ArgumentError
  rescue ArgumentError
    Leaf.new.made(until_s)
  end

  def ensured(until_s)
    nil
  ensure
    rescued(until_s)
  end
end

SINGLE = Object.new
def SINGLE.alone(until_s)
  Class.new { def nameless(until_s) Tools.ensured(until_s) end }.new.nameless(until_s)
end

def paused(until_s)
  [3, 1, 2].sort_by { |number| number }.first(1).each { eval("SINGLE.alone(until_s)", binding, "made.rb", 7) }
end

seconds = Float(ARGV.fetch(1))
case ARGV.fetch(0)
when "threads"
  spin(now + 1)
  until_s = now + seconds
  thread = Thread.new { compressing(until_s) }
  spinning(until_s)
  thread.join
when "ractors"
  Warning[:experimental] = false
  both = [Ractor.new(seconds) { |s| in_the_first(s) }, Ractor.new(seconds) { |s| in_the_second(s) }]
  both.each { |ractor| ractor.respond_to?(:take) ? ractor.take : ractor.value }
when "fiber"
  Fiber.new { Fiber.new { resumed(seconds) }.resume }.resume
when "garbage"
  allocating(now + seconds)
  puts JSON.generate(GC.stat[:time])
when "garbage-beside"
  thread = Thread.new { compressing(now + seconds) }
  allocating(now + seconds)
  thread.join
when "fork"
  spin(now + 0.5)
  2.times { fork { in_the_child(seconds) } }
  Process.waitall
when "short"
  command = [ARGV.fetch(2), "--disable-gems", __FILE__, "once", (seconds / 20).to_s]
  20.times { Process.wait(spawn(*command)) }
when "once"
  at_once(seconds)
when "paused"
  paused(now + seconds)
end
