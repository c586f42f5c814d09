# frozen_string_literal: true

# Calls methods of every kind, each of which burns CPU for as long as stdin stays open; with "deep N" as
# arguments, a recursion N calls deep instead. Prints "ready" first, then waits for a line.

require "zlib"

module Tools
  def self.each_number(&block) = [1].each(&block)

  module Inner
    class Worker
      def work
        Tools.each_number { |_| 1.times { burn } }
      rescue ArgumentError
        raise
      end

      class << self
        def start = new.work
      end
    end
  end
end

class Object
  def burn
    count = 0
    count += 1 while count < 2_000
  end
end

def in_fiber = Fiber.new { "x" =~ /x/ && burn }.resume

def rescued
  raise "no"
rescue RuntimeError
  burn
ensure
  burn
end

NAMELESS = [Class.new { def nameless = burn }].freeze
SINGLE = Object.new
def SINGLE.single = burn

class Made
  define_method(:made) { burn }
end

def descend(depth)
  return loop { burn } if depth <= 1

  descend(depth - 1)
end

def deflate
  data = Random.new(1).bytes(1 << 20)
  loop { Zlib.deflate(data) }
end

def spin
  number = 0
  number += 1 while true
end

def step
  Tools::Inner::Worker.start
  in_fiber
  rescued
  NAMELESS.first.new.nameless
  SINGLE.single
  Made.new.made
end

puts "ready"
$stdout.flush
$stdin.gets
case ARGV.first
when "deep" then descend(ARGV[1].to_i)
when "threads"
  Thread.new { deflate }
  Thread.new { Thread.stop }
  loop { step }
when "crowd"
  300.times { Thread.new { Thread.stop } }
  Thread.new { spin }.join
else loop { step }
end
