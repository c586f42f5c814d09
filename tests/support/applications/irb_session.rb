require 'set'
require 'json'
def fibonacci(n) = n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2)
fibonacci(20)
Order = Struct.new(:number, :name)
orders = Array.new(2000) { Order.new(_1, "order #{_1}") }
orders.group_by { _1.number % 7 }.transform_values(&:size)
class Basket
  attr_reader :orders
  def initialize(orders) = @orders = orders
  def total = orders.sum(&:number)
  def to_json(*) = JSON.generate(orders.map(&:to_h))
end
Basket.new(orders).total
Basket.new(orders).to_json.size
eval((1..200).map { |i| "def m#{i}(x) = x + #{i}" }.join("\n"))
(1..200).sum { |i| send("m#{i}", i) }
orders.map { |order| eval("#{order.number} + 1") }.sum
raise 'a mistake'
orders.map(&:name).join(',').scan(/\d+/).map(&:to_i).sum
JSON.parse(JSON.generate((1..2000).to_a)).each_slice(3).map(&:sum).max
ObjectSpace.each_object(Class).count
"text " * 3
exit
