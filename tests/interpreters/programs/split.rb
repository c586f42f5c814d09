# Shares its process's CPU time 60/30/10 among three methods: split.rb SECONDS DEPTH. For every Ruby from 2.7 on.
# A loop, a block that a C function calls, and a C function called from a block; below blocks and recursion.
# At the end the program says {"cpu_s": {method: seconds}}.

require "json"

class Splitter
  SHARES = { "heavy_share" => 0.6, "medium_share" => 0.3, "light_share" => 0.1 }.freeze
  LETTERS = ("a".."z").to_a.join * 280

  def heavy_share(rounds)
    total = 0
    while rounds > 0
      total += rounds & 7
      rounds -= 1
    end
    total
  end

  def medium_share(rounds)
    total = 0
    rounds.times { |number| total += number & 7 }
    total
  end

  def light_share(rounds)
    (rounds / 500).times { LETTERS.tr("a-y", "b-z").squeeze }
  end

  def descend(depth, &burner)
    return burner.call if depth <= 1

    descend(depth - 1, &burner)
  end

  def split(goal_s, depth)
    chance = Random.new(20)
    spent_s = SHARES.transform_values { 0.0 }
    while spent_s.values.sum < goal_s
      name = SHARES.keys.min_by { |key| spent_s[key] / SHARES[key] }
      began_s = clock
      descend(depth) { public_send(name, chance.rand(1000..150_000)) }
      spent_s[name] += clock - began_s
    end
    spent_s
  end

  def clock
    Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  end
end

puts JSON.generate("cpu_s" => Splitter.new.split(ARGV[0].to_f, ARGV[1].to_i))
