# A worker: no unit of it is usher's business, it is only rebooted. Its certificate is written and renewed by something else.
class { 'usher::agent':
  node_name => $facts['networking']['hostname'],
  identity  => {
    'certificate' => { 'path' => '/etc/usher/pki/agent.chained.pem' },
    'key'         => { 'path' => '/etc/usher/pki/agent-key.pem' },
    'ca'          => { 'path' => '/etc/ssl/certs/usher-callers.pem' },
  },
  operators => [
    { 'name' => 'CN=cumin1001.example.org', 'may' => ['reboot'], 'from' => ['10.64.0.0/16'] },
  ],
}
