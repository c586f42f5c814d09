# frozen_string_literal: true

# Makes reports of a made-up log all day long: parsing, grouping, sorting, rendering.
# `busy.rb [SECONDS]` says `ready` and runs for that long, or until it is terminated.

require "digest"

Visit = Struct.new(:path, :milliseconds, :status)

# Makes lines as a web server would log them.
class LogSource
  PATHS = %w[/ /search /cart /checkout /account /help].freeze

  def initialize(seed)
    @chance = Random.new(seed)
  end

  def lines(count)
    Array.new(count) { line }
  end

  def line
    "GET #{PATHS[@chance.rand(PATHS.size)]} #{@chance.rand(500)}ms #{@chance.rand(20).zero? ? 500 : 200}"
  end
end

# Turns lines into visits.
class Parser
  LINE = %r{\AGET (?<path>/\w*) (?<milliseconds>\d+)ms (?<status>\d{3})\z}

  def parse(lines)
    lines.filter_map { |line| visit(line) }
  end

  def visit(line)
    match = LINE.match(line)
    match && Visit.new(match[:path], match[:milliseconds].to_i, match[:status].to_i)
  end
end

# Says how fast each path was, and how often it failed.
class Report
  def initialize(visits)
    @visits = visits
  end

  def render
    rows = @visits.group_by(&:path).map { |path, visits| row(path, visits) }
    page = rows.sort_by(&:last).map { |cells| cells.join("\t") }.join("\n")
    seal(page)
  end

  def row(path, visits)
    [path, percentile(visits, 50), percentile(visits, 95), failures(visits)]
  end

  def percentile(visits, percent)
    visits.map(&:milliseconds).sort[visits.size * percent / 100]
  end

  def failures(visits)
    visits.count { |visit| visit.status >= 500 }
  end

  def seal(page)
    20.times { page += Digest::SHA256.hexdigest(page) }
    page
  end
end

def serve(until_time)
  source = LogSource.new(20)
  parser = Parser.new
  Report.new(parser.parse(source.lines(2_000))).render while Process.clock_gettime(Process::CLOCK_MONOTONIC) < until_time
end

seconds = ARGV.empty? ? Float::INFINITY : ARGV.first.to_f
trap("TERM") { exit }
$stdout.sync = true
puts "ready"
serve(Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds)
