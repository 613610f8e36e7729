# frozen_string_literal: true

require 'spec_helper'

describe 'usher::coordinator' do
  let(:node) { 'cumin1001.example.org' }

  context 'with defaults' do
    it { is_expected.to compile.with_all_deps }
    it { is_expected.to contain_package('usher') }
    it { is_expected.to contain_file('/etc/usher').with(owner: 'root', mode: '0755') }
    it { is_expected.to contain_file('/etc/usher/clusters.d').with(purge: true, recurse: true) }
    it { is_expected.not_to contain_file('/etc/usher/coordinator/client-key.pem') }
  end

  context 'with two clusters' do
    let(:params) do
      {
        'common' => {
          'realm' => 'production', 'api' => { 'kubeconfig' => '/etc/kubernetes/{user}-{cluster}.config' },
          'agents' => { 'address' => '{node}.example.org:7470' }
        },
        'clusters' => {
          'eqiad' => {
            'control_plane' => { 'machines' => %w[cp1001 cp1002 cp1003] },
            'agents' => { 'addresses' => { 'cp1001' => '10.0.0.11:7470' } },
            'versions' => { 'support' => { 'kubernetes' => { '1.33' => '2027-06-28' } } }
          },
          'codfw' => { 'aliases' => ['wikikube-codfw'] }
        },
        'identity' => 'puppet', 'group' => 'ops'
      }
    end
    let(:common) { content_of(catalogue, '/etc/usher/clusters.d/_common.toml') }

    it { is_expected.to compile.with_all_deps }

    it 'writes the files that the programs\' own tests read' do
      %w[_common eqiad codfw].each do |name|
        text = content_of(catalogue, "/etc/usher/clusters.d/#{name}.toml")
        expect(text).to eq(golden("clusters.d/#{name}.toml", text))
      end
    end

    it 'lets every operator read them' do
      is_expected.to contain_file('/etc/usher/clusters.d/eqiad.toml').with(owner: 'root', mode: '0644')
    end

    it 'lets the group read the key, and tells usher where it is' do
      is_expected.to contain_file('/etc/usher/coordinator').with(group: 'ops', mode: '0750')
      is_expected.to contain_file('/etc/usher/coordinator/client-key.pem').with(
        source: '/var/lib/puppet/ssl/private_keys/cumin1001.example.org.pem',
        owner: 'root', group: 'ops', mode: '0440', show_diff: false, backup: false
      )
      expect(common).to include('key = "/etc/usher/coordinator/client-key.pem"')
      expect(common).to include('address = "{node}.example.org:7470"')
    end
  end

  context 'with a certificate of its own in the files and a switch of staging clusters' do
    let(:params) do
      {
        'common' => { 'agents' => { 'ca' => '/etc/ssl/agents.pem' } }, 'identity' => 'puppet', 'manage_package' => false,
        'staging' => { 'clusters' => %w[staging-eqiad staging-codfw] }, 'purge_clusters' => false
      }
    end

    it 'leaves the last word to the files' do
      expect(content_of(catalogue, '/etc/usher/clusters.d/_common.toml')).to include('ca = "/etc/ssl/agents.pem"')
    end

    it { is_expected.not_to contain_package('usher') }
    it { is_expected.to contain_file('/etc/usher/clusters.d').with(purge: false) }

    it {
      is_expected.to contain_file('/etc/usher/clusters.d/_staging.toml')
        .with_content(/^clusters = \["staging-eqiad", "staging-codfw"\]$/)
    }
  end

  context 'beside the agent on one machine' do
    let(:pre_condition) { 'include usher::agent' }
    let(:params) { { 'identity' => 'puppet' } }

    it 'shares no file with it' do
      is_expected.to compile.with_all_deps
    end
  end

  context 'with a cluster whose name would hide its file' do
    let(:params) { { 'clusters' => { '_eqiad' => {} } } }

    it { is_expected.to compile.and_raise_error(/parameter 'clusters'/) }
  end
end
