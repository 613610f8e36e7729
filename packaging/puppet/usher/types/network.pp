# @summary An address or a range of addresses: `10.64.0.5`, `10.64.0.0/16`, `2001:db8::/32`.
type Usher::Network = Pattern[/\A\d{1,3}(\.\d{1,3}){3}(\/\d{1,2})?\z/, /\A[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(\/\d{1,3})?\z/]
