# Prices orders and plans their ways for so many seconds. The same in five languages: see tests/bench/jit.py.
def discount(n) = n < 2 ? n : discount(n - 1) + discount(n - 2)

def price(order)
  sum = 0
  each = 0
  while each < 3
    sum += discount(14 + order % 3)
    each += 1
  end
  sum
end

def distance(n)
  sum = 0.0
  each = 1
  while each < n
    sum += Math.sqrt(each) % 7
    each += 1
  end
  sum
end

def route(order)
  sum = 0.0
  each = 0
  while each < 8
    sum += distance(600 + order % 9)
    each += 1
  end
  sum
end

def checkout(order) = price(order) + route(order)

finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + ARGV[0].to_f
total = 0.0
order = 0
while Process.clock_gettime(Process::CLOCK_MONOTONIC) < finish
  total += checkout(order)
  order += 1
end
puts total
