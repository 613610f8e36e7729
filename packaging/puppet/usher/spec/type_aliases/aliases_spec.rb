# frozen_string_literal: true

require 'spec_helper'

{
  'Usher::Unit_name' => [
    ['kube-scheduler.service', 'getty@tty1.service', 'var-lib-\x2detcd.mount', 'etcd.timer'],
    ['kube-scheduler', 'user.slice', '.service', 'getty@.service', "a.service\n", 'a b.service']
  ],
  'Usher::Duration' => [%w[10s 1h30m 90d 250ms], ['', '10', 's', '-1s']],
  'Usher::Network' => [%w[10.0.0.1 10.0.0.0/8 2001:db8::/32 ::1], ['example.org', '10.0.0.0/']],
  'Usher::Name' => [['CN=cumin1001', 'O=system:masters', 'DNS:a.example', 'URI:spiffe://x/y'], ['alice', 'CN=', "CN=a\nb"]],
  'Usher::Fingerprint' => [['ab' * 32, (['AB'] * 32).join(':')], ['ab' * 31, "#{'ab:' * 32}"]],
  'Usher::Time' => [['2026-12-31T00:00:00Z'], ['2026-12-31', 'tomorrow']],
  'Usher::Https_url' => [['https://127.0.0.1:6443/readyz', 'https://[::1]/x'], ['http://a/', 'https://', 'https://a@b/']],
  'Usher::Path' => [['/', '/etc/usher/agent.pem'], ['etc', '', "/a\nb"]],
  'Usher::Cluster_name' => [%w[eqiad staging-codfw], %w[_common .hidden a/b]]
}.each do |type, (good, bad)|
  describe type do
    it { is_expected.to allow_values(*good) }
    it { is_expected.not_to allow_values(*bad) }
  end
end
