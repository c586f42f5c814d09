# frozen_string_literal: true

# Compiles the files named by its arguments, or all of the standard library, and says what Ruby knows about
# every iseq in them, one line of JSON each: the iseq's address, its names, and [word, words, line] of each
# instruction. Then it stays until stdin ends.

require "json"
require "objspace"
require "rbconfig"

def address_of(iseq)
  JSON.parse(ObjectSpace.dump(iseq)).fetch("references").first.to_i(16)
end

def instructions(iseq)
  word = line = 0
  iseq.to_a.last.each_with_object([]) do |item, found|
    case item
    when Integer
      line = item
    when Array
      found << [word, item.size, line]
      word += item.size
    end
  end
end

def tell(iseq, kept)
  kept << iseq
  puts JSON.generate(address: address_of(iseq), label: iseq.label, file: iseq.path, first_line: iseq.first_lineno,
                     instructions: instructions(iseq))
  iseq.each_child { |child| tell(child, kept) }
end

$VERBOSE = nil
Encoding.default_external = Encoding::UTF_8
kept = []
library = Dir.glob(File.join(RbConfig::CONFIG["rubylibdir"], "**", "*.rb")).sort
(ARGV.empty? ? library : ARGV).each { |path| tell(RubyVM::InstructionSequence.compile_file(path), kept) }
puts "ready"
$stdout.flush
$stdin.read
