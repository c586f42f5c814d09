# frozen_string_literal: true

# A real program of many classes at its own job: rdoc reads much of the standard library. StackProf samples it from
# inside, and the file ARGV[0] gets its count of samples for each method on top, as JSON. Garbage is not
# collected, because StackProf does not say for whom that happens.

GC.disable
require "json"
require "rbconfig"
require "rdoc"
require "stackprof"
require "tmpdir"

def document(files)
  Dir.mktmpdir { |place| RDoc::RDoc.new.document(["--quiet", "--format=ri", "--op=#{place}/ri", *files]) }
end

files = Dir.glob(File.join(RbConfig::CONFIG["rubylibdir"], "{*,net/*,psych/*,rexml/*,rdoc/*,irb/*}.rb")).sort
$stderr.reopen(File::NULL)
found = StackProf.run(mode: :cpu, interval: 1000) { 3.times { document(files) } }
File.write(ARGV[0], JSON.generate(found[:frames].each_value.with_object(Hash.new(0)) do |frame, own|
  own[frame[:name]] += frame[:samples]
end))
