# frozen_string_literal: true

# As healthy.py.

def clock_ns(clock)
  Process.clock_gettime(clock, :nanosecond)
end

def healthy_work(end_ns)
  began_ns = clock_ns(Process::CLOCK_THREAD_CPUTIME_ID)
  while clock_ns(Process::CLOCK_MONOTONIC) < end_ns
    left = 1_000
    left -= 1 while left.positive?
  end
  clock_ns(Process::CLOCK_THREAD_CPUTIME_ID) - began_ns
end

seconds = (ARGV.first || 3600).to_f
spent_ns = healthy_work(clock_ns(Process::CLOCK_MONOTONIC) + (seconds * 1e9).to_i)
puts "#{spent_ns / 1e9} #{clock_ns(Process::CLOCK_PROCESS_CPUTIME_ID) / 1e9}"
