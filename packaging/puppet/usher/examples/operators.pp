# Where operators work.
class { 'usher::coordinator':
  common   => {
    'api'    => { 'kubeconfig' => '/etc/kubernetes/{user}-{cluster}.config' },
    'agents' => { 'address' => '{node}.example.org:7470' },
  },
  clusters => {
    'eqiad' => { 'control_plane' => { 'machines' => ['cp1001', 'cp1002', 'cp1003'] } },
    'codfw' => { 'control_plane' => { 'machines' => ['cp2001', 'cp2002', 'cp2003'] } },
  },
  identity => 'puppet',
  group    => 'ops',
}
