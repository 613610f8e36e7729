# @summary The SHA-256 fingerprint of a certificate, with or without colons.
#
# `openssl x509 -noout -fingerprint -sha256 -in FILE` prints it.
type Usher::Fingerprint = Pattern[/\A[0-9A-Fa-f]{64}\z/, /\A[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}\z/]
