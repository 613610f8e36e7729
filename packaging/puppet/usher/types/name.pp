# @summary A name in a caller's certificate, which must match exactly.
type Usher::Name = Pattern[/\A(CN=|O=|DNS:|URI:)[^\n\0]+\z/]
