# frozen_string_literal: true

# A short program, of the kind that scripts are: options, a few libraries, some text, and the end.
require 'csv'
require 'json'
require 'optparse'
require 'set'
require 'tempfile'
require 'uri'

count = 300
OptionParser.new { |options| options.on('--count N', Integer) { |value| count = value } }.parse!
rows = CSV.parse((['name,address'] + Array.new(count) { "n#{_1},http://host/#{_1}?a=#{_1}" }).join("\n"), headers: true)
hosts = Set.new(rows.map { |row| URI.parse(row['address']).host })
Tempfile.create('short') { |file| file.write(JSON.generate({ hosts: hosts.to_a, rows: rows.map(&:to_h) })) }
