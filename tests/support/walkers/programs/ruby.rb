#!/usr/bin/env ruby
# frozen_string_literal: true

# Says what its stacks are, and waits. See tests/support/walkers/targets.py.
# Run with the name of a scenario: "kinds" (frames of every kind), "thread" (of another thread than the first
# one), "deep N" (a recursion).

require "json"

STDOUT.sync = true

def told(locations)
  locations.map { |location| [location.label, location.lineno] }
end

def say(locations, below)
  tid = File.basename(File.readlink("/proc/thread-self")).to_i
  STDOUT.puts JSON.generate({ tid: tid, stack: [["sysread", 0], *told(locations), *below] })
end

# `below` are the frames of the fibers that resumed this one, which Ruby does not say here. One line, so that the
# stack stays as it was said.
def wait(below = [])
  [say(caller_locations(0), below), STDIN.sysread(1)]
end

class Made
  def initialize
    @value = [3].each_with_index { |_, index| inside(index) }
  end

  def inside(_)
    $~ = "special variables".match(/a/)
    Made.singleton { wait(fiber_below) }
  end

  def self.singleton
    yield
  end

  define_method(:fiber_below) { Thread.current[:below] || [] }
end

def resumed
  Thread.current[:below] = [["resume", 0], *$below]
  [2, 1].sort_by { |_| Made.new }
end

def with_fiber
  ($below = told(caller_locations(0))) && Fiber.new { resumed }.resume
end

def descend(depth)
  depth.zero? ? wait : descend(depth - 1)
end

case ARGV.fetch(0)
when "deep" then descend(ARGV.fetch(1).to_i)
when "thread" then Thread.new { Made.new }.join
else with_fiber
end
