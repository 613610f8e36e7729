# frozen_string_literal: true

require 'rspec-puppet'

MODULE = File.expand_path('..', __dir__)

# Nothing is fetched and no link is made: the module depends on no other, and its own folder is where Puppet looks.
RSpec.configure do |config|
  config.module_path = File.dirname(MODULE)
  config.setup_fixtures = false if config.respond_to?(:setup_fixtures=)
  config.strict_variables = true
  config.default_facts = {
    'os' => { 'family' => 'Debian', 'name' => 'Debian', 'release' => { 'major' => '12', 'full' => '12.11' } },
    'service_provider' => 'systemd'
  }
end

# Files that a text must equal, and that other tests read too. UPDATE_GOLDEN=1 writes them.
def golden(name, text)
  path = File.join(MODULE, 'spec/golden', name)
  File.write(path, text) if ENV['UPDATE_GOLDEN']
  File.exist?(path) ? File.read(path) : ''
end

# What a catalogue writes into a file.
def content_of(catalogue, path)
  file = catalogue.resource('file', path) or raise "no file #{path} in the catalogue"
  file[:content]
end
