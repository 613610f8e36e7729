# @summary A certificate with its intermediates, its key, and the CA that signs the other side's certificates.
#
# `puppet` is the host's own certificate by the Puppet CA, on both sides.
type Usher::Identity = Variant[
  Enum['puppet'],
  Struct[{
      certificate => Usher::Pem,
      key         => Usher::Pem,
      ca          => Usher::Pem,
  }]
]
