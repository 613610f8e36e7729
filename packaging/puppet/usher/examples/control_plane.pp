# A machine of the control plane that kubeadm has set up, with its certificate by the Puppet CA.
class { 'usher::agent':
  units     => {
    'kube-apiserver.service'          => {
      'probe' => {
        'url'         => 'https://127.0.0.1:6443/readyz',
        'ca'          => '/etc/kubernetes/pki/ca.crt',
        'server_name' => 'kubernetes',
      },
    },
    # These two make a self-signed certificate at each start.
    'kube-controller-manager.service' => {
      'probe' => { 'url' => 'https://127.0.0.1:10257/healthz', 'verify' => false },
    },
    'kube-scheduler.service'          => {
      'probe' => {
        'url'          => 'https://127.0.0.1:10259/readyz',
        'fallback_url' => 'https://127.0.0.1:10259/healthz',
        'verify'       => false,
      },
    },
  },
  operators => ['CN=cumin1001.example.org'],
  viewers   => ['O=sre'],
}
