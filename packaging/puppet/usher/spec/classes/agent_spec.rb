# frozen_string_literal: true

require 'spec_helper'

CONTROL_PLANE = {
  'kube-apiserver.service' => {
    'probe' => { 'url' => 'https://127.0.0.1:6443/readyz', 'ca' => '/etc/kubernetes/pki/ca.crt', 'server_name' => 'kubernetes' }
  },
  'kube-controller-manager.service' => {
    'job_timeout' => '3m', 'probe' => { 'url' => 'https://127.0.0.1:10257/healthz', 'verify' => false }
  },
  'kube-scheduler.service' => {
    'probe' => {
      'url' => 'https://127.0.0.1:10259/readyz', 'fallback_url' => 'https://127.0.0.1:10259/healthz', 'verify' => false
    }
  }
}.freeze

describe 'usher::agent' do
  let(:node) { 'cp1.example.org' }
  let(:toml) { content_of(catalogue, '/etc/usher/agent.toml') }
  let(:rule) { content_of(catalogue, '/etc/polkit-1/rules.d/50-usher-agent.rules') }

  context 'with defaults' do
    it { is_expected.to compile.with_all_deps }

    it 'permits nobody anything' do
      expect(toml).to include("[allow]\nviewer = []\noperator = []\n")
      expect(toml).to end_with("[units]\n")
      expect(rule).to include('var units = [];')
    end

    it 'writes the file that the programs\' own tests read' do
      expect(toml).to eq(golden('agent-defaults.toml', toml))
    end

    it 'enables and starts the service, and reloads it when told to refresh' do
      is_expected.to contain_service('usher-agent').with(
        ensure: 'running', enable: true, restart: '/usr/bin/systemctl reload usher-agent.service'
      )
    end

    it 'lets no package notify the service' do
      is_expected.to contain_class('usher::agent::install').that_comes_before('Class[usher::agent::config]')
      is_expected.not_to contain_package('usher-agent').that_notifies('Service[usher-agent]')
      is_expected.not_to contain_service('usher-agent').that_subscribes_to('Package[usher-agent]')
    end

    it 'has the configuration checked before it is put in place, and reloads the agent then' do
      is_expected.to contain_file('/etc/usher/agent.toml')
        .with(owner: 'root', group: 'usher-agent', mode: '0440')
        .with_validate_cmd('/usr/sbin/usher-agent --check-config=syntax --config %')
        .that_notifies('Service[usher-agent]')
    end

    it 'copies the host\'s certificate, whose key only root and the agent may read and nothing keeps a copy of' do
      is_expected.to contain_file('/etc/usher/agent-key.pem').with(
        source: '/var/lib/puppet/ssl/private_keys/cp1.example.org.pem',
        owner: 'root', group: 'usher-agent', mode: '0440', show_diff: false, backup: false
      ).that_comes_before('File[/etc/usher/agent.toml]')
      is_expected.to contain_file('/etc/usher/agent.pem').with_source('/var/lib/puppet/ssl/certs/cp1.example.org.pem')
      is_expected.to contain_file('/etc/usher/callers-ca.pem').with_source('/var/lib/puppet/ssl/certs/ca.pem')
    end

    it 'names lock files in a folder that is open to everybody once Puppet has run' do
      expect(toml).to include('lock_files = ["/var/cache/puppet/state/agent_catalog_run.lock", ' \
                              '"/var/cache/puppet/state/agent_disabled.lock"]')
    end
  end

  context 'with the units of a control plane' do
    let(:params) do
      {
        'node_name' => 'cp1', 'listen' => '10.0.0.11:7470', 'units' => CONTROL_PLANE,
        'operators' => ['CN=cumin1001', 'DNS:deploy1001.example'], 'viewers' => ['O=sre'],
        'settings' => { 'reboot' => { 'budget_per_day' => 2 }, 'reflection' => false }
      }
    end

    it { is_expected.to compile.with_all_deps }

    it 'writes the file that the programs\' own tests read' do
      expect(toml).to eq(golden('agent-control-plane.toml', toml))
    end

    it 'makes the agent\'s list and polkit\'s rule from the same names' do
      names = CONTROL_PLANE.keys
      expect(toml.scan(/^\[units\.("[^"]*")/).flatten.uniq).to eq(names.map { |name| "\"#{name}\"" })
      expect(rule).to include("var units = [#{names.map { |name| "\"#{name}\"" }.join(', ')}];")
    end

    it 'grants what the rule of the package grants' do
      packaged = File.read(File.join(MODULE, '../../polkit/50-usher-agent.rules'))
      granted = lambda do |text|
        actions = text.scan(/"(org\.freedesktop\.[^"]*)"/)
        [actions, text[/var verbs = .*/], text[/var units = .*/], text[/if \(subject\.system_unit .*/]]
      end
      expect(granted.call(rule)).to eq(granted.call(packaged))
    end

    it 'refuses everything else to the agent' do
      expect(rule).to end_with("    return polkit.Result.NO;\n});\n")
    end
  end

  context 'with narrowed callers and certificates that nobody may use' do
    let(:params) do
      {
        'operators' => [
          'CN=alice',
          {
            'name' => 'DNS:deploy1001.example', 'from' => ['10.64.0.0/16', '2001:db8::/32'],
            'units' => ['kube-scheduler.service'], 'may' => %w[restart start], 'until' => '2027-01-01T00:00:00Z'
          }
        ],
        'viewers' => [{ 'name' => 'O=sre', 'from' => ['10.64.0.5'] }],
        'denied_fingerprints' => ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08']
      }
    end

    it 'writes them as agent.toml has them' do
      expect(toml).to include('operator = ["CN=alice", { name = "DNS:deploy1001.example", ' \
                              'from = ["10.64.0.0/16", "2001:db8::/32"], units = ["kube-scheduler.service"], ' \
                              'may = ["restart", "start"], until = 2027-01-01T00:00:00Z }]')
      expect(toml).to include('viewer = [{ name = "O=sre", from = ["10.64.0.5"] }]')
      expect(toml).to include("[deny]\nfingerprints = [\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"]\n")
    end
  end

  context 'with certificates that something else writes' do
    let(:params) do
      {
        'identity' => {
          'certificate' => { 'path' => '/etc/usher/pki/agent.chained.pem' },
          'key' => { 'path' => '/etc/usher/pki/agent-key.pem' }, 'ca' => { 'source' => 'puppet:///modules/profile/ca.pem' }
        },
        'client_crl' => { 'path' => '/etc/usher/pki/callers.crl' }
      }
    end

    it 'names their paths, and touches only what is its own' do
      expect(toml).to include(<<~TOML)
        [tls]
        certificate = "/etc/usher/pki/agent.chained.pem"
        key = "/etc/usher/pki/agent-key.pem"
        client_ca = "/etc/usher/callers-ca.pem"
        client_crl = "/etc/usher/pki/callers.crl"
      TOML
      is_expected.to contain_file('/etc/usher/callers-ca.pem').with_source('puppet:///modules/profile/ca.pem')
      is_expected.not_to contain_file('/etc/usher/pki/agent-key.pem')
      is_expected.not_to contain_file('/etc/usher/agent-key.pem')
    end
  end

  context 'with a certificate and a key as text' do
    let(:params) do
      {
        'identity' => {
          'certificate' => { 'content' => "cert\n" }, 'key' => { 'content' => sensitive("key\n") }, 'ca' => { 'content' => "ca\n" }
        }
      }
    end

    it 'writes them, and keeps the key out of reports' do
      is_expected.to contain_file('/etc/usher/agent-key.pem').with(mode: '0440', show_diff: false).with_content(sensitive("key\n"))
      is_expected.to contain_file('/etc/usher/agent.pem').with(mode: '0444', content: "cert\n")
    end
  end

  context 'on the only control plane of a cluster, with a socket of its own' do
    let(:params) { { 'socket' => '/run/usher/agent.sock', 'sole_control_plane' => true } }

    it 'writes both as agent.toml has them' do
      expect(toml).to include("socket = \"/run/usher/agent.sock\"\nsole_control_plane = true\n")
    end
  end

  context 'on one of several control planes' do
    it 'says nothing of either, so that an agent of an older version reads the file' do
      expect(toml).not_to match(/^(socket|sole_control_plane) = /)
    end
  end

  context 'without a package' do
    let(:params) { { 'manage_package' => false, 'validate_command' => :undef } }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.not_to contain_package('usher-agent') }
  end

  {
    'a unit without a suffix' => { 'units' => { 'kube-scheduler' => {} } },
    'a template without an instance' => { 'units' => { 'getty@.service' => {} } },
    'a unit that would end a string of the rule' => { 'units' => { '"];x.service' => {} } },
    'a probe with an unknown key' => { 'units' => { 'a.service' => { 'probe' => { 'url' => 'https://127.0.0.1', 'uri' => '' } } } },
    'a name of an unknown kind' => { 'operators' => ['alice'] },
    'an unknown verb' => { 'operators' => [{ 'name' => 'CN=a', 'may' => ['drain'] }] },
    'an empty limit' => { 'operators' => [{ 'name' => 'CN=a', 'units' => [] }] },
    'a viewer who may do something' => { 'viewers' => [{ 'name' => 'CN=a', 'may' => ['restart'] }] },
    'a fingerprint that is too short' => { 'denied_fingerprints' => ['9f86'] },
    'a socket without a folder' => { 'socket' => 'agent.sock' },
    'a word in the place of yes or no' => { 'sole_control_plane' => 'yes' },
    'a flag of the control plane among the settings' => { 'settings' => { 'sole_control_plane' => true } },
    'a setting that is a parameter' => { 'settings' => { 'allow' => { 'operator' => ['CN=a'] } } },
    'an identity without a CA' => { 'identity' => { 'certificate' => { 'path' => '/a' }, 'key' => { 'path' => '/b' } } }
  }.each do |mistake, params|
    context "with #{mistake}" do
      let(:params) { params }

      it { is_expected.to compile.and_raise_error(/parameter '#{params.keys.first}'/) }
    end
  end
end
