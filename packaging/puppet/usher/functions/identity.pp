# @summary An identity in full: what `puppet` stands for is filled in.
# @api private
# @param identity The identity.
# @return [Hash[String, Usher::Pem]] A hash with `certificate`, `key` and `ca`, each a `Usher::Pem`.
function usher::identity(Usher::Identity $identity) >> Hash[String, Usher::Pem] {
  include usher
  $host = $trusted['certname']
  $by_puppet = {
    'certificate' => { 'source' => "${usher::puppet_ssldir}/certs/${host}.pem" },
    'key'         => { 'source' => "${usher::puppet_ssldir}/private_keys/${host}.pem" },
    'ca'          => { 'source' => "${usher::puppet_ssldir}/certs/ca.pem" },
  }
  $identity ? {
    Hash    => $identity,
    default => $by_puppet,
  }
}
