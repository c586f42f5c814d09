# Calls itself, sorts with a block and substitutes for four seconds.
def fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)

sum = 0
began = Time.now
while Time.now - began < 4
  sum += fib(18)
  items = (0..2000).to_a.shuffle
  sum += items.sort_by { |each| -each }.first
  sum += items.map(&:to_s).join.gsub("1", "2").size
end
puts sum
