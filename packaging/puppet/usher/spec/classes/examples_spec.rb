# frozen_string_literal: true

require 'spec_helper'

# Each example is the whole of a catalogue.
Dir[File.join(MODULE, 'examples/*.pp')].sort.each do |path|
  describe 'usher' do
    context "as in #{File.basename(path)}" do
      let(:pre_condition) { File.read(path) }
      let(:facts) { { 'networking' => { 'hostname' => 'w1', 'fqdn' => 'w1.example.org' } } }

      it { is_expected.to compile.with_all_deps }
    end
  end
end
