# frozen_string_literal: true

# Ruby 3.3 and 3.4 know their own structures, for the compiler that is written in Ruby: ruby --rjit rjit.rb
# reads C expressions by name, as JSON, and answers with the values of those that it knows.

require "json"

C = RubyVM.const_get(:RJIT).const_get(:C)

# The structure `name`; it may be known by its typedef.
def structure(name)
  names = [name, name.sub(/_struct\z/, "_t")]
  found = names.find { |each| C.respond_to?(each) && C.public_send(each).respond_to?(:members) }
  found && C.public_send(found)
end

def offset(type, path)
  type&.offsetof(*path.split(".").map(&:to_sym))
rescue KeyError, NoMethodError # a structure inside of it that is not described
  nil
end

def constant(name)
  C.const_get(name) if /\A[A-Z]/.match?(name) && C.const_defined?(name)
end

def value(expression)
  case expression
  when /\Aoffsetof\(struct (\w+), ([\w.]+)\)\z/ then offset(structure($1), $2)
  when /\Asizeof\(struct (\w+)\)\z/ then structure($1)&.size
  when /\A__builtin_ctzl\((\w+)\)\z/ then constant($1)&.then { |number| (number & -number).bit_length - 1 }
  when /\A\w+\z/ then constant(expression)
  end
end

puts JSON.generate(JSON.parse($stdin.read).transform_values { |expression| value(expression) }.compact)
